"""What is said about regions, networks and where a client goes, on the wire."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from geo.situation import Standing
from hub.geo.errors import MAX_NETWORKS
from hub.history.forms import EntryState
from hub.instances.forms import Load
from hub.instances.state import State
from hub.wire.limits import Limits
from hub.wire.texts import Instant, RegionName, Seconds, Told

MAX_GEO_WAIT_SECONDS = 55.0
_MANY = Limits(max_items=MAX_NETWORKS)

NetworkText = Annotated[str, Limits(max_characters=64, about="a network like 10.1.0.0/16")]


# --- networks -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NetworkWish:
    """A network to be linked to a region."""

    region: RegionName
    network: NetworkText


@dataclass(frozen=True, slots=True)
class LinkedNetwork:
    """A network that is linked to a region."""

    region: str
    network: str
    linked_at: Instant


@dataclass(frozen=True, slots=True)
class NetworksQuery:
    """Which networks; no region: those of all."""

    region: RegionName | None = None


@dataclass(frozen=True, slots=True)
class NetworkList:
    """Networks by region. A region with one at least serves no other clients."""

    networks: Annotated[tuple[LinkedNetwork, ...], _MANY]


# --- regions --------------------------------------------------------------------------------------


class What(StrEnum):
    """What a check asks for."""

    READY = "ready"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class CheckView:
    """The last look at a region in one way. address: of the region; of `ready`: its URL."""

    what: What
    address: str
    ok: bool
    error: Told
    at: Instant
    seconds: Seconds


@dataclass(frozen=True, slots=True)
class HealthView:
    """How a region looked lately. excused: the hub had no answer, but its replica reports."""

    is_up: bool
    since: Instant | None
    checks: tuple[CheckView, ...]
    excused: bool


@dataclass(frozen=True, slots=True)
class RegionView:
    """A region. replica, state, lag_seconds, load: of its replica, if it has one."""

    name: str
    number: int | None
    host: str
    addresses: tuple[str, ...]
    networks: Annotated[tuple[str, ...], _MANY]
    linked: Annotated[tuple[str, ...], _MANY]
    weight: int
    standing: Standing
    health: HealthView
    is_drained: bool
    replica: str | None
    state: State | None
    lag_seconds: Seconds | None
    load: Load | None


@dataclass(frozen=True, slots=True)
class RegionList:
    """All regions, in the catalogue's order.

    note: why a later edit of the catalogue or of the database isn't in use; empty: it is.
    """

    regions: Annotated[tuple[RegionView, ...], _MANY]
    note: Annotated[str, Limits(is_cleaned=True, max_characters=4_096)] = ""


# --- what DNS servers decide by -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GeoQuery:
    """after: the revision that is known, to wait for another one for `timeout` seconds."""

    after: str | None = None
    timeout: Annotated[float, Limits(maximum=MAX_GEO_WAIT_SECONDS, about="seconds")] = 0.0


@dataclass(frozen=True, slots=True)
class Geo:
    """All that the decision takes. catalogue: as `document_of` writes it; linked: the
    networks of each region that has any; a region that `standings` doesn't name is up.
    """

    revision: str
    domain: str
    ttl_seconds: Seconds
    spread: int
    catalogue: dict[str, Any]
    standings: dict[str, Standing]
    linked: dict[str, Annotated[tuple[str, ...], _MANY]]


# --- explaining -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExplainQuery:
    """An image, and the address of the client that would pull it."""

    reference: Annotated[str, Limits(max_characters=512, about="[host/]repository[:tag|@digest]")]
    from_: Annotated[str, Limits(max_characters=64, about="an IP address")]


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """What a DNS server says to that client."""

    name: str
    region: str
    ttl_seconds: Seconds
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExplainedRegion:
    """A region as that client sees it. may_enter: its access list lets the client in.

    entry: what the region's replica said last of the image; null: nothing. is_primary: the primary
    itself serves it.
    """

    region: str
    distance_km: Annotated[float, Limits(about="kilometres")] | None
    standing: Standing
    may_enter: bool
    is_primary: bool
    replica: str | None
    state: State | None
    lag_seconds: Seconds | None
    entry: EntryState | None
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Explained:
    """Where the client goes, and why. by: network, database or default. digest: null: no event and
    no replica says what the reference is.
    """

    repository: str
    reference: str
    digest: str | None
    client: str
    by: str
    network: str | None
    place: str | None
    reason: str
    answer: DnsAnswer
    regions: Annotated[tuple[ExplainedRegion, ...], _MANY]
