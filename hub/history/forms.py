"""The replication log on the wire."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from hub.instances.forms import Status
from hub.instances.state import State
from hub.wire.limits import Limits
from hub.wire.texts import DigestText, Instant, RegionName, RepositoryName, TagName, Told

MAX_ENTRIES = 1_000
MAX_PAGE = 1_000
MAX_WAIT_SECONDS = 300.0

EntryId = Annotated[
    str,
    Limits(pattern=r"^[A-Za-z0-9._:-]{1,128}$", max_characters=128, about="the id of an entry"),
]
NumberText = Annotated[
    str, Limits(pattern=r"^(?:0|[1-9][0-9]{0,17})$", about="`next` of the page before")
]
Explanation = Annotated[str, Limits(is_cleaned=True, max_characters=1_024)]


class What(StrEnum):
    """What an entry is about."""

    IMAGE = "image"
    INDEX = "index"
    CHART = "chart"
    SIGNATURE = "signature"
    SBOM = "sbom"
    ATTESTATION = "attestation"
    ARTIFACT = "artifact"
    BLOB = "blob"
    DELETION = "deletion"


class Trigger(StrEnum):
    """Why it was done."""

    EVENT = "event"
    BACKFILL = "backfill"
    RECONCILE = "reconcile"
    PULL = "pull"
    PREFETCH = "prefetch"
    REPLAY = "replay"


class EntryState(StrEnum):
    """How it stands. Complete: all blobs of the chosen platforms are there."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    DEAD = "dead"
    SUPERSEDED = "superseded"
    SKIPPED = "skipped"
    EVICTED = "evicted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What became of one artifact in one region. It changes until it ends; the last word counts.

    failed: it will be tried again; dead: it won't. evicted: complete once, not any more.
    event_at: when the primary says that it happened; seq: number of the event in the event log.
    """

    id: EntryId
    replica: str = ""
    region: str = ""
    repository: RepositoryName
    tag: TagName | None = None
    digest: DigestText | None = None
    what: What
    source: Told = ""
    destination: Told = ""
    trigger: Trigger
    state: EntryState
    bytes_moved: int = 0
    bytes_saved: int = 0
    attempts: int = 0
    started_at: Instant | None = None
    ended_at: Instant | None = None
    event_at: Instant | None = None
    seq: int | None = None
    error: Explanation = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a replica says: how it is, and the entries that are new or have changed."""

    status: Status
    entries: Annotated[tuple[Entry, ...], Limits(max_items=MAX_ENTRIES)] = ()


@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """An entry that isn't kept, by its place in the report: sending it again is of no use."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReportOutcome:
    """What came of a report. kept: how many entries were new or had changed."""

    kept: int
    refused: tuple[RefusedEntry, ...]


@dataclass(frozen=True, slots=True)
class LogsQuery:
    """Which entries. Times are when an entry was first reported.

    after:  the next page, older entries: `next` of the page before.
    follow: instead, what has changed since, in the order of the changes: `revision` of the first
            page, then `next`.
    """

    repository: RepositoryName | None = None
    tag: TagName | None = None
    digest: DigestText | None = None
    region: RegionName | None = None
    state: EntryState | None = None
    since: Instant | None = None
    until: Instant | None = None
    after: NumberText | None = None
    follow: NumberText | None = None
    limit: Annotated[int, Limits(minimum=1, maximum=MAX_PAGE)] = 100


@dataclass(frozen=True, slots=True)
class LogsPage:
    """Some entries, the newest first. next: for another page; null: there is none."""

    entries: Annotated[tuple[Entry, ...], Limits(max_items=MAX_PAGE)]
    next: str | None
    revision: str


@dataclass(frozen=True, slots=True)
class WaitQuery:
    """What is waited for: a tag is what it named when it was asked for. region: or all."""

    repository: RepositoryName
    reference: Annotated[str, Limits(about="a tag or a digest")]
    region: RegionName = "all"
    timeout: Annotated[float, Limits(maximum=MAX_WAIT_SECONDS, about="seconds")] = 30.0


@dataclass(frozen=True, slots=True)
class RegionState:
    """How an artifact stands in a region. entry: null: the replica said nothing of it yet."""

    region: str
    replica: str
    state: State
    entry: EntryState | None
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Arrived:
    """The artifact is complete in the regions that were asked for."""

    repository: str
    reference: str
    digest: str
    regions: tuple[RegionState, ...]
