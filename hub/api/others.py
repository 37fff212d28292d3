"""Wire forms of the routes that read and write their JSON themselves, for the description."""

from dataclasses import dataclass
from typing import Annotated

from hub.instances.forms import CursorText, Replication
from hub.wire.limits import Limits
from hub.wire.texts import Instant, RegionName, RepositoryName, Seconds


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of a notification's entries; parked: some weren't understood, and are kept."""

    logged: int
    repeated: int
    ignored: int
    parked: bool


@dataclass(frozen=True, slots=True)
class SenderQuery:
    """The kind of registry that sends, where its notifications don't tell."""

    sender: str | None = None


@dataclass(frozen=True, slots=True)
class EventsQuery:
    """The last event that the replica has seen."""

    after: CursorText


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """How far the replica has read."""

    cursor: CursorText


@dataclass(frozen=True, slots=True)
class Lease:
    """How long tags count as current from the *sending* of the request, for a replica whose cursor
    has reached `head`. 0: not at all; `reason` says why.
    """

    epoch: str
    head: int
    lease_seconds: Seconds
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """A page of what is numbered."""

    after: int = 0
    limit: Annotated[int, Limits(maximum=100)] = 100


@dataclass(frozen=True, slots=True)
class ParkedNotification:
    """A notification that wasn't understood, with the beginning of what was sent."""

    id: int
    received_at: Instant
    sender: str
    reason: str
    size_bytes: int
    content_type: str
    beginning: str


@dataclass(frozen=True, slots=True)
class ParkedPage:
    """Parked notifications, the oldest first. next: `after` of the next page."""

    parked: tuple[ParkedNotification, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class ParkedOutcome:
    """What came of trying once more."""

    logged: int
    repeated: int
    ignored: int
    parked: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Which events: all after a number, up to another (null: the newest), of a repository; for the
    replica of a region alone (null: for all replicas).
    """

    after: int = 0
    upto: int | None = None
    repository: RepositoryName | None = None
    region: RegionName | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many events were put at the end of the log once more. next: `after` of the next request,
    with the `upto` of this answer; null: that was all of them.
    """

    replayed: int
    next: int | None
    upto: int


@dataclass(frozen=True, slots=True)
class ReplicationChange:
    """What a replica shall copy from now on; null: what the hub's settings say."""

    replication: Replication | None


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One error. code: for programs, message: for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Errors:
    """What is answered instead: `detail`, where there is one, depends on the code."""

    errors: tuple[ErrorDetail, ...]
