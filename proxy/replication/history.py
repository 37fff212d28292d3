"""The replication log of one region: for each target what was done, when, and what it moved.

An entry is written when work on it begins and again when that ends, so the last word on an
artifact outlives the process. It is kept for a time and up to a number; what the hub hasn't heard
of yet is known.
"""

import asyncio
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.registry.sidecar import Sidecar
from proxy.registry.sqlite_file import Statement
from proxy.replication.copying import Copied
from proxy.replication.parts import Parts
from proxy.replication.targets import Outcome, Removed, Untouched
from proxy.replication.work import Job
from proxy.telemetry.labels import CopyEnd

RUNNING = "running"
DELETION = "deletion"
MAX_ENTRIES = 100_000
TRIM_EVERY = 500
MAX_ERROR_CHARACTERS = 300

_PUT = "INSERT OR REPLACE INTO copy VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)"
_CHOSEN = """
AND (? = '' OR repository = ?) AND (? = '' OR reference = ?)
AND (? = '' OR digest = ?) AND (? = '' OR state = ?)
"""
_NEWEST = f"""
SELECT document, changed_at FROM copy WHERE started_at >= ? AND started_at < ? {_CHOSEN}
ORDER BY started_at DESC LIMIT ?
"""  # noqa: S608  # no input in it
_FOLLOW = f"""
SELECT document, changed_at FROM copy WHERE changed_at > ? AND changed_at < ? {_CHOSEN}
ORDER BY changed_at LIMIT ?
"""  # noqa: S608
_OF_ARTIFACT = """
SELECT document FROM copy WHERE digest = ? AND state IN ('complete', 'evicted')
"""
_RESTATE = """
UPDATE copy SET state = ?, changed_at = ?, document = ?, is_reported = 0
WHERE id = ? AND state = ?
"""
_TRIM = """
DELETE FROM copy WHERE started_at < ? OR id IN (
    SELECT id FROM copy ORDER BY started_at DESC LIMIT -1 OFFSET ?)
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of work. Times are wall-clock seconds; *event_at* is when the news came."""

    id: str
    repository: str
    reference: str
    what: str
    trigger: str
    event_at: float
    started_at: float
    attempts: int
    end: CopyEnd | None = None
    digest: str = ""
    moved_bytes: int = 0
    saved_bytes: int = 0
    ended_at: float | None = None
    error: str = ""

    @property
    def state(self) -> str:
        """How it ended, or that it goes on."""
        return self.end or RUNNING

    def as_document(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        fields = asdict(self)
        del fields["end"]
        return fields | {"state": self.state}

    @property
    def lag_seconds(self) -> float:
        """How long after the news it ended."""
        return 0.0 if self.ended_at is None else max(0.0, self.ended_at - self.event_at)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are wanted; an empty text means any.

    follow: what has changed since that revision, in the order of the changes; None: the newest.
    """

    repository: str = ""
    tag: str = ""
    digest: str = ""
    state: str = ""
    since: float = 0.0
    until: float = float("inf")
    follow: float | None = None
    limit: int = 100


class History:
    """Writes and reads the log."""

    def __init__(self, sidecar: Sidecar, wall: Callable[[], float], keep_seconds: float) -> None:
        self._sidecar = sidecar
        self.parts = Parts(sidecar)
        self._wall = wall
        self._keep_seconds = keep_seconds
        self._untrimmed = 0
        self._latest = 0.0
        self.has_news = asyncio.Event()
        """Set whenever an entry was written."""
        self.on_ended: Callable[[Entry], None] = lambda _: None
        """Told of each entry that ended."""

    def began(self, job: Job) -> Entry:
        """Note that work on a job begins."""
        reference = job.target.reference
        entry = Entry(
            _id_of(job),
            job.target.repository,
            "" if reference is None else str(reference),
            job.target.kind,
            job.trigger,
            job.event_at,
            self._wall(),
            job.attempts + 1,
            digest=str(reference) if isinstance(reference, Digest) else "",
        )
        self._put(entry)
        return entry

    def ended(self, entry: Entry, outcome: Outcome) -> Entry:
        """Note what came of it."""
        ended = self._end(_with(entry, outcome))
        if isinstance(outcome, Copied) and outcome.digest is not None:
            self.parts.note(outcome.digest, outcome.parts)
        return ended

    def failed(self, entry: Entry, error: str, *, is_dead: bool) -> Entry:
        """Note that it failed, to be tried again or not."""
        end = CopyEnd.DEAD if is_dead else CopyEnd.FAILED
        return self._end(replace(entry, end=end, error=error[:MAX_ERROR_CHARACTERS]))

    def _end(self, entry: Entry) -> Entry:
        ended = replace(entry, ended_at=self._wall())
        self._put(ended)
        self.on_ended(ended)
        return ended

    def _put(self, entry: Entry) -> None:
        values = (
            entry.id,
            entry.repository,
            entry.reference,
            entry.digest,
            entry.state,
            entry.started_at,
            self._changed_at(),
            _document(entry),
        )
        self._sidecar.queue(_PUT, *values)
        self.has_news.set()
        self._untrimmed += 1
        if self._untrimmed >= TRIM_EVERY:
            self._untrimmed = 0
            self._sidecar.queue(_TRIM, self._wall() - self._keep_seconds, MAX_ENTRIES)

    # --- what becomes of it later -----------------------------------------------------------------

    async def of_artifact(self, digest: Digest) -> list[Entry]:
        """Give the entries that say whether an artifact is all here.

        Raises: StoreUnavailable.
        """
        rows = await self._sidecar.all(_OF_ARTIFACT, str(digest))
        if rows is None:
            raise StoreUnavailable("the log can't be read")
        found = [_entry(row[0]) for row in rows]
        return [each for each in found if each.what != DELETION]

    async def restate(
        self, entries: Sequence[tuple[Entry, CopyEnd]], others: Iterable[Statement]
    ) -> None:
        """Let entries say how it is with their artifacts now; *others* are written with them.

        Raises: StoreUnavailable: nothing is written.
        """
        batch = [self._restated(entry, end) for entry, end in entries]
        if not await self._sidecar.transact([*batch, *others]):
            raise StoreUnavailable("the log can't be written")
        if entries:
            self.has_news.set()

    def _restated(self, entry: Entry, end: CopyEnd) -> Statement:
        document = _document(replace(entry, end=end))
        return _RESTATE, (end, self._changed_at(), document, entry.id, entry.state)

    def _changed_at(self) -> float:
        """Give a time that is later than all before, whatever the clock does."""
        self._latest = max(self._wall(), self._latest + 1e-6)
        return self._latest

    # --- reading ----------------------------------------------------------------------------------

    async def entries(self, wanted: Wanted) -> tuple[list[Entry], float]:
        """Give entries, the newest first, or what has changed; and the revision to follow from."""
        is_followed = wanted.follow is not None
        rows = await self._sidecar.all(
            _FOLLOW if is_followed else _NEWEST,
            wanted.follow if is_followed else wanted.since,
            wanted.until,
            *(wanted.repository, wanted.repository),
            *(wanted.tag, wanted.tag),
            *(wanted.digest, wanted.digest),
            *(wanted.state, wanted.state),
            wanted.limit,
        )
        changes = [float(str(row[1])) for row in rows or []]
        return [_entry(row[0]) for row in rows or []], max([wanted.follow or 0.0, *changes])

    async def unreported(self, limit: int) -> list[Entry]:
        """Give entries whose last word the hub hasn't heard, the oldest word first."""
        rows = await self._sidecar.all(
            "SELECT document FROM copy WHERE is_reported = 0 ORDER BY changed_at LIMIT ?", limit
        )
        return [_entry(row[0]) for row in rows or []]

    async def reported(self, entries: Sequence[Entry]) -> None:
        """Note that the hub has these; one that went on meanwhile is still to be told.

        Raises: StoreUnavailable: they will be told once more.
        """
        batch: list[Statement] = [
            ("UPDATE copy SET is_reported = 1 WHERE id = ? AND state = ?", (each.id, each.state))
            for each in entries
        ]
        if not await self._sidecar.transact(batch):
            raise StoreUnavailable("the log can't be written")


def _document(entry: Entry) -> str:
    return json.dumps(entry.as_document(), separators=(",", ":"))


def _entry(document: object) -> Entry:
    fields = json.loads(str(document))
    state = fields.pop("state")
    return Entry(**fields, end=None if state == RUNNING else CopyEnd(state))


def _id_of(job: Job) -> str:
    """Give what names a job for good, however often it is tried."""
    target = job.target
    text = f"{target.kind} {target.repository} {target.reference} {job.made} {job.first_at!r}"
    return uuid.uuid5(uuid.NAMESPACE_OID, text).hex


def _with(entry: Entry, outcome: Outcome) -> Entry:
    match outcome:
        case Copied(what, digest, moved, saved):
            return replace(
                entry,
                what=what,
                digest=str(digest),
                moved_bytes=moved,
                saved_bytes=saved,
                end=CopyEnd.COMPLETE if outcome.is_complete else CopyEnd.EVICTED,
            )
        case Removed():
            return replace(entry, what=DELETION, end=CopyEnd.COMPLETE)
        case Untouched(reason):
            return replace(entry, end=CopyEnd.SKIPPED, error=reason)
