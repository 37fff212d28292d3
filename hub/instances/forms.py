"""What is said about instances, on the wire."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from hub.instances.state import Reported, State
from hub.wire.limits import Limits
from hub.wire.texts import (
    Instant,
    PlatformText,
    RegionName,
    RepositoryPattern,
    Seconds,
    TagPattern,
    Told,
)

CursorText = Annotated[
    str, Limits(pattern=r"^[0-9a-f]{16}:(?:0|[1-9][0-9]{0,17})$", about="a cursor, EPOCH:SEQ")
]


class BackfillPolicy(StrEnum):
    """What a new replica copies of what is there already."""

    ALL = "all"
    NEWEST = "newest"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class BackfillWish:
    """What a new replica copies of what is there already; newest: tags of each repository."""

    policy: BackfillPolicy = BackfillPolicy.ALL
    newest: Annotated[int, Limits(minimum=1, maximum=100_000)] = 10


@dataclass(frozen=True, slots=True)
class Replication:
    """What a replica copies; no platforms: all of them; a bandwidth of 0: no limit."""

    repositories: tuple[RepositoryPattern, ...] = ("**",)
    tags: tuple[TagPattern, ...] = ("**",)
    platforms: tuple[PlatformText, ...] = ()
    bandwidth_bytes: int = 0
    concurrent: Annotated[int, Limits(minimum=1, maximum=1_000)] = 8
    backfill: BackfillWish = BackfillWish()


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """How far a replica is with what was there before it."""

    done: int = 0
    total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """What clients take of a replica."""

    connections: int = 0
    bytes_per_second: Annotated[float, Limits(about="bytes a second")] = 0.0


@dataclass(frozen=True, slots=True)
class Status:
    """What a replica says of itself; lag_seconds: age of the oldest event not yet complete."""

    state: Reported
    cursor: CursorText | None = None
    lag_seconds: Seconds = 0.0
    queue: int = 0
    bytes_behind: int = 0
    eta_seconds: Seconds | None = None
    backfill: BackfillProgress | None = None
    version: Told = ""
    at: Instant | None = None
    load: Load | None = None


@dataclass(frozen=True, slots=True)
class Primary:
    """The primary instance."""

    id: str
    region: str
    domain: str
    url: str
    trusted_origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PrimaryView:
    """The primary instance and the replica instances made for it."""

    id: str
    region: str
    domain: str
    url: str
    trusted_origins: tuple[str, ...]
    replicas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Creation:
    """A replica to be made; what `replication` doesn't say is as the hub's settings have it."""

    region: RegionName
    replication: Replication | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """A replica that was made. The token is shown this once; the hub keeps its hash alone."""

    id: str
    region: str
    token: str


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """A replica instance. lag_seconds: how far it is behind now; null: nobody knows."""

    id: str
    region: str
    state: State
    created_at: Instant
    reported_at: Instant | None
    draining_at: Instant | None
    deleted_at: Instant | None
    lag_seconds: Seconds | None
    replication: Replication
    status: Status | None


@dataclass(frozen=True, slots=True)
class ReplicaList:
    """All replica instances, by region."""

    replicas: tuple[ReplicaView, ...]


@dataclass(frozen=True, slots=True)
class SelfReplica:
    """Which replica is asking."""

    id: str
    region: str
    state: State


@dataclass(frozen=True, slots=True)
class SelfView:
    """Everything a replica is told of itself; but for `head` it is the same until it changes.

    networks: those linked to its region; if there are any, it serves no other clients.
    """

    replica: SelfReplica
    primary: Primary
    replication: Replication
    verify_every_seconds: Seconds
    epoch: str
    head: int
    networks: Annotated[tuple[str, ...], Limits(max_items=10_000)] = ()
