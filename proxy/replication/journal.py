"""The journal: what is to be done here, durable, with the place in the event log it came from.

Rules:
- Jobs and the cursor are written in one transaction: an event that was taken is a job, or done.
- There is one job for each target. Newer news of it supersede the older; a job for which news came
  while it ran isn't done when it ends.
- A job that fails comes again later, or in the next life at once, until it is given up: then it is
  dead, listed, and can be replayed.
- A sidecar that can't be written takes nothing, and says so. One that was lost is an empty journal
  without a cursor, which leads to a reconcile.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from proxy.events.cursor import Cursor, CursorInvalid
from proxy.events.event import Event
from proxy.oci.errors import StoreUnavailable
from proxy.oci.reference import Repository, Tag, parse_reference
from proxy.registry.clock import Clock
from proxy.registry.sidecar import Sidecar
from proxy.registry.sqlite_file import Row, Statement
from proxy.replication.cursor import Mark, Notice
from proxy.replication.work import Job, Kind, Priority, Target, Trigger

PORTION = 1000
"""Jobs that are written at once: what waits for the sidecar meanwhile waits no longer for it."""

_COLUMNS = "kind, repository, reference, trigger, event_at, is_deletion, attempts, first_at, made"
_PUT = f"""
INSERT OR REPLACE INTO job ({_COLUMNS}, priority, due_at, error, is_dead)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0)
"""  # noqa: S608  # no input in it
_OF = f"SELECT {_COLUMNS} FROM job WHERE kind = ? AND repository = ? AND reference = ?"  # noqa: S608
_DUE = f"""
SELECT {_COLUMNS} FROM job WHERE is_dead = 0 AND due_at <= ?
ORDER BY priority, due_at LIMIT ?
"""  # noqa: S608
_DONE = "DELETE FROM job WHERE kind = ? AND repository = ? AND reference = ? AND made = ?"
_PUT_OFF = """
UPDATE job SET attempts = ?, due_at = ?, error = ?, is_dead = ?
WHERE kind = ? AND repository = ? AND reference = ? AND made = ?
"""
_HURRY = "UPDATE job SET due_at = ? WHERE is_dead = 0 AND due_at > ?"
_FACT = "INSERT OR REPLACE INTO fact VALUES (?, ?)"
_CURSOR = "replication.cursor"
_SINCE = "replication.since"

Plan = Callable[[Event, float], Sequence[Job]]


class Journal:
    """Takes news and hands out jobs; *plan* says which jobs news make. `open` it first."""

    def __init__(self, sidecar: Sidecar, clock: Clock, plan: Plan) -> None:
        self._sidecar = sidecar
        self._clock = clock
        self._plan = plan
        self._running: dict[Target, Job] = {}
        self._targets: set[Target] = set()
        self._made = 0
        self.has_news = asyncio.Event()
        """Set whenever there may be a job that wasn't there before."""
        self.trusted_since = float("inf")
        """Wall-clock seconds from which on no news were missed."""
        self.has_gap = asyncio.Event()
        """Set when news were missed, or may have been."""

    async def open(self) -> None:
        """Read which jobs there are, and since when nothing was missed; let none wait longer."""
        now = self._clock.wall()
        await self._sidecar.transact([(_HURRY, (now, now))])
        rows = await self._sidecar.all("SELECT kind, repository, reference FROM job")
        self._targets = {_target(*row) for row in rows or []}
        found = await self._sidecar.all("SELECT max(made) FROM job")
        self._made = int(str(found[0][0] or 0)) if found else 0
        since = await self._sidecar.fact(_SINCE)
        self.trusted_since = float(since) if since else float("inf")

    # --- the place in the event log ---------------------------------------------------------------

    async def cursor(self) -> Cursor | None:
        """Give the place up to which all is taken; None: nothing is known.

        Raises: StoreUnavailable: it can't be read now, which isn't the same.
        """
        rows = await self._sidecar.all("SELECT value FROM fact WHERE name = ?", _CURSOR)
        if rows is None:
            raise StoreUnavailable("the journal can't be read")
        try:
            return Cursor.parse(str(rows[0][0])) if rows else None
        except CursorInvalid:
            return None

    async def start_over(self, cursor: Cursor) -> None:
        """Go on from *cursor* though there is a gap before it: all has to be looked at once.

        Raises: StoreUnavailable: nothing has changed.
        """
        since = self._clock.wall()
        await self._write([(_FACT, (_CURSOR, str(cursor))), (_FACT, (_SINCE, str(since)))])
        self.trusted_since = since
        self.has_gap.set()

    # --- news -------------------------------------------------------------------------------------

    async def marks(self) -> Sequence[Mark]:
        """Give what news said may have changed of tags and isn't looked at yet."""
        tags = [each for each in self._targets if each.kind is not Kind.BLOB]
        return [
            Mark(each.repository, each.reference if isinstance(each.reference, Tag) else None)
            for each in tags
        ]

    async def has_any(self, targets: Iterable[Target]) -> bool:
        """Say whether there is a job for any of some targets that isn't given up."""
        for target in targets:
            if target in self._targets:
                sql = "SELECT 1 FROM job WHERE kind = ? AND repository = ? AND reference = ?"
                if await self._sidecar.all(f"{sql} AND is_dead = 0", *_key(target)):
                    return True
        return False

    async def accept(self, notices: Sequence[Notice]) -> None:
        """Take what the hub's log says, up to the last of *notices*.

        Raises: StoreUnavailable: nothing was taken.
        """
        known = [(each.event, each.received_at) for each in notices if each.event is not None]
        jobs = [job for event, at in known for job in self._plan(event, at)]
        await self.take(jobs, notices[-1].cursor)

    async def learn(self, events: Iterable[Event], at: float) -> None:
        """Take what the primary itself says, in wall-clock seconds *at*.

        Raises: StoreUnavailable: nothing was taken.
        """
        await self.take(job for event in events for job in self._plan(event, at))

    async def take(self, jobs: Iterable[Job], cursor: Cursor | None = None) -> None:
        """Keep jobs, and the place that they came from.

        Raises: StoreUnavailable: nothing was taken.
        """
        if cursor is None:  # nothing else has to be written with them
            await self._take_in_portions(iter(jobs))
        else:
            await self._take(jobs, cursor)

    async def _take_in_portions(self, jobs: Iterator[Job]) -> None:
        while portion := list(islice(jobs, PORTION)):
            await self._take(portion, None)

    async def _take(self, jobs: Iterable[Job], cursor: Cursor | None) -> None:
        latest: dict[Target, Job] = {}
        for job in jobs:
            older = latest.get(job.target) or await self._known(job.target)
            latest[job.target] = self._numbered(job.superseding(older) if older else job)
        batch = [_put(job, self._clock.wall()) for job in latest.values()]
        if cursor is not None:
            batch.append((_FACT, (_CURSOR, str(cursor))))
        await self._write(batch)
        self._targets.update(latest)
        if latest:
            self.has_news.set()

    async def _known(self, target: Target) -> Job | None:
        if target not in self._targets:
            return None
        rows = await self._sidecar.all(_OF, *_key(target))
        if rows is None:
            raise StoreUnavailable
        return _job(rows[0]) if rows else None

    def _numbered(self, job: Job) -> Job:
        self._made += 1
        return replace(job, made=self._made, attempts=0, first_at=self._clock.wall())

    # --- work -------------------------------------------------------------------------------------

    async def hand_out(self, most: int, below: Priority = Priority.BACKFILL) -> list[Job]:
        """Give jobs that are due and that nobody has, the most urgent first, none after *below*."""
        self.has_news.clear()
        limit = most + len(self._running)
        rows = await self._sidecar.all(_DUE, self._clock.wall(), limit) or []
        free = [job for job in map(_job, rows) if job.target not in self._running]
        found = [job for job in free if job.priority <= below][:most]
        self._running |= {job.target: job for job in found}
        return found

    @property
    def running(self) -> int:
        """How many jobs somebody has."""
        return len(self._running)

    async def done(self, job: Job) -> bool:
        """Note that a job is done; False: there were news meanwhile, it comes again.

        Raises: StoreUnavailable: that couldn't be written; it comes again after a restart.
        """
        try:  # it is nobody's only when that is written: who reads meanwhile must not get it
            await self._write([(_DONE, (*_key(job.target), job.made))])
            newer = await self._known(job.target)
        finally:
            self.give_back(job)
        if newer is None:
            self._targets.discard(job.target)
        else:
            self.has_news.set()
        return newer is None

    async def put_off(self, job: Job, seconds: float, error: str, *, is_dead: bool = False) -> None:
        """Let a job come again later, or no more; unless there were news meanwhile.

        Raises: StoreUnavailable: it comes again at once, then.
        """
        try:
            due_at = self._clock.wall() + seconds
            values = (job.attempts + 1, due_at, error, is_dead, *_key(job.target), job.made)
            await self._write([(_PUT_OFF, values)])
        finally:
            self.give_back(job)
            self.has_news.set()

    def give_back(self, job: Job) -> None:
        """Note that nobody has a job any more; it is as it was."""
        running = self._running.get(job.target)
        if running is not None and running.made == job.made:
            del self._running[job.target]

    async def next_due_in(self, below: Priority = Priority.BACKFILL) -> float | None:
        """Give the seconds until a job that nobody has is due, none after *below*; None if there
        is none.
        """
        rows = await self._sidecar.all(
            "SELECT due_at, kind, repository, reference FROM job"
            " WHERE is_dead = 0 AND priority <= ? ORDER BY due_at LIMIT ?",
            int(below),
            len(self._running) + 1,
        )
        free = [row for row in rows or [] if _target(*row[1:]) not in self._running]
        return max(0.0, float(str(free[0][0])) - self._clock.wall()) if free else None

    # --- what is left -----------------------------------------------------------------------------

    async def backlog(self) -> dict[Trigger, tuple[int, float]]:
        """Give how many jobs there are and since when the oldest waits, by trigger."""
        rows = await self._sidecar.all(
            "SELECT trigger, count(*), min(event_at) FROM job WHERE is_dead = 0 GROUP BY trigger"
        )
        return {
            Trigger(str(trigger)): (int(str(count)), float(str(oldest)))
            for trigger, count, oldest in rows or []
        }

    async def dead_count(self) -> int:
        """Give how many jobs were given up."""
        rows = await self._sidecar.all("SELECT count(*) FROM job WHERE is_dead = 1")
        return int(str(rows[0][0])) if rows else 0

    async def dead(self, limit: int) -> Sequence[tuple[Job, str]]:
        """Give the jobs that were given up, with what they met, the oldest first."""
        rows = await self._sidecar.all(
            f"SELECT {_COLUMNS}, error FROM job WHERE is_dead = 1"  # noqa: S608
            " ORDER BY first_at LIMIT ?",
            limit,
        )
        return [(_job(row[:-1]), str(row[-1])) for row in rows or []]

    async def _write(self, batch: list[Statement]) -> None:
        if not await self._sidecar.transact(batch):
            raise StoreUnavailable("the journal can't be written")


def _key(target: Target) -> tuple[str, str, str]:
    reference = "" if target.reference is None else str(target.reference)
    return target.kind, target.repository, reference


def _put(job: Job, due_at: float) -> Statement:
    values = (
        *_key(job.target),
        job.trigger,
        job.event_at,
        job.is_deletion,
        job.attempts,
        job.first_at,
        job.made,
        job.priority,
        due_at,
    )
    return _PUT, values


def _target(kind: object, repository: object, reference: object) -> Target:
    named = parse_reference(str(reference)) if reference else None
    return Target(Kind(str(kind)), Repository.parse(str(repository)), named)


def _job(row: Row) -> Job:
    kind, repository, reference, trigger, event_at, is_deletion, attempts, first_at, made = row
    return Job(
        _target(kind, repository, reference),
        Trigger(str(trigger)),
        float(str(event_at)),
        bool(is_deletion),
        int(str(attempts)),
        float(str(first_at)),
        int(str(made)),
    )
