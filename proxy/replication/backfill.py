"""Backfill: a new replica copies what was there before it, as far as the policy wants that.

Rules:
- First it is planned, repository by repository, what is copied and what stays out; then the journal
  gets it in portions, behind everything else. Both are durable: a restart goes on.
- Where nothing is copied, the first comparison notes what was there: those tags stay out.
- In a store that is full it ends: what is left stays out, rather than pushing out what came.
- It happens once. Another policy in the settings is another backfill.
- What is missed meanwhile, since a list was read before, is found by events and comparisons.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from proxy.oci.errors import RegistryError, Unavailable
from proxy.oci.reference import Repository, Tag
from proxy.registry.clock import Clock
from proxy.replication.catalogue import CLOSED, Catalogue
from proxy.replication.history import Entry
from proxy.replication.journal import Journal
from proxy.replication.ledger import Counts, Ledger
from proxy.replication.newest import Newest
from proxy.replication.plan import Scope
from proxy.replication.work import Job, Kind, Target, Trigger
from proxy.telemetry.labels import CopyEnd
from proxy.telemetry.logs import EventLog

PORTION = 200
LOOK_EVERY_SECONDS = 5.0
FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 600.0
RATE_WINDOW_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What is copied: nothing at 0, everything at None, else so many of each repository's tags."""

    newest: int | None

    def __str__(self) -> str:
        """Name it in the ledger."""
        return "all" if self.newest is None else f"newest {self.newest}"


@dataclass(frozen=True, slots=True)
class BackfillStatus:
    """How far it is. *bytes_total* and *eta_seconds* are estimates, from what came so far and from
    the rate of the last minutes; None where there is nothing to go by.
    """

    is_finished: bool
    done: int
    total: int
    bytes_done: int
    bytes_total: int | None
    eta_seconds: float | None


class Backfill:
    """Plans and feeds. `open` it first; `run` is the task, which ends when all is done."""

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        newest: Newest,
        journal: Journal,
        scope: Scope,
        policy: Policy,
    ) -> None:
        self._ledger = ledger
        self._catalogue = catalogue
        self._newest = newest
        self._journal = journal
        self._scope = scope
        self._policy = policy
        self._counts = Counts()
        self._samples: deque[tuple[float, int]] = deque()
        self._moved_bytes = 0
        self._ended = 0
        self._left: list[tuple[Repository, Tag]] = []
        self._has_ended_many = asyncio.Event()
        self.is_full: Callable[[], bool] = lambda: False
        """Whether the store has no room for what nobody asked for."""

    @property
    def is_planned(self) -> bool:
        """Say whether it is known of every repository what of it is copied."""
        return self._ledger.standing.is_planned

    @property
    def is_finished(self) -> bool:
        """Say whether all is here that was to be copied."""
        return self._ledger.standing.is_finished or self.is_nothing

    @property
    def is_nothing(self) -> bool:
        """Say whether nothing is to be copied: then the first comparison notes what there was."""
        return self._policy.newest == 0

    @property
    def is_choosy(self) -> bool:
        """Say whether some tags of each repository are copied, and others aren't."""
        return bool(self._policy.newest)

    async def open(self) -> None:
        """Read how far it is; another policy than before begins anew.

        Raises: StoreUnavailable.
        """
        await self._ledger.open()
        if self._ledger.standing.policy != str(self._policy):
            await self._ledger.begin(str(self._policy))
        self._counts = await self._ledger.counts()

    def hear(self, entry: Entry) -> None:
        """Take note of a piece of work that ended."""
        if entry.trigger != Trigger.BACKFILL:
            return
        self._moved_bytes += entry.moved_bytes
        self._ended += 1
        if entry.end is CopyEnd.SKIPPED and self.is_full():
            self._left.append((Repository(entry.repository), Tag(entry.reference)))
        self._wake_if_many_ended()

    def _wake_if_many_ended(self) -> None:
        if self._ended >= max(1, self._counts.handed // 2):
            self._has_ended_many.set()

    async def run(self, clock: Clock, log: EventLog) -> None:
        """Do all of it; try again as long as the primary doesn't answer."""
        retry_seconds = FIRST_RETRY_SECONDS
        while not self.is_finished:
            try:
                await self._plan(log)
                retry_seconds = FIRST_RETRY_SECONDS
                await self._feed(clock, log)
            except RegistryError as exc:
                log.warning("backfill.waits", error=exc.message, seconds=round(retry_seconds))
                await asyncio.sleep(retry_seconds * random.uniform(0.5, 1.0))  # noqa: S311
                retry_seconds = min(LONGEST_RETRY_SECONDS, 2 * retry_seconds)
            else:
                status = self.status
                log.info("backfill.ended", tags=status.done, bytes=status.bytes_done)

    # --- planning ---------------------------------------------------------------------------------

    async def _plan(self, log: EventLog) -> None:
        if self.is_planned:
            return
        for repository in sorted((await self._catalogue.overview()).all):
            if not self._scope.has_repository(repository):
                continue
            try:
                await self.plan(repository)
            except Unavailable:
                raise
            except RegistryError as exc:
                log.warning("backfill.no_list", repository=repository, error=exc.message)
        await self._ledger.note_planned()

    async def plan(self, repository: Repository) -> None:
        """Decide what of a repository is copied, unless that was done.

        Raises: Unavailable, BadGateway: its tags can't be found out.
        """
        if await self._ledger.is_planned(repository):
            return
        try:
            there = await self._catalogue.tags(repository)
        except CLOSED:
            return
        wanted = await self._wanted(repository, there)
        await self._ledger.plan(repository, wanted, there - wanted)

    async def leave(self, repository: Repository, there: frozenset[Tag]) -> None:
        """Decide, of a repository that comes late, which tags stay out; others are missing here.

        Raises: Unavailable: the primary doesn't answer.
        """
        await self._ledger.plan(repository, (), there - await self._wanted(repository, there))

    async def _wanted(self, repository: Repository, there: frozenset[Tag]) -> frozenset[Tag]:
        tags = frozenset(filter(self._scope.has_tag, there))
        count = self._policy.newest
        if count is None:
            return tags
        return await self._newest.of(repository, tags, count) if count else frozenset()

    # --- feeding ----------------------------------------------------------------------------------

    async def _feed(self, clock: Clock, log: EventLog) -> None:
        while True:
            self._has_ended_many.clear()
            await self._look(clock.now())
            if self._counts.waiting and self.is_full():
                await self._leave_rest(log)
            if not self._counts.waiting and not self._counts.handed:
                await self._ledger.note_finished()
                return
            if self._counts.handed <= PORTION // 2:
                await self._hand_out(PORTION - self._counts.handed, clock.wall())
            self._wake_if_many_ended()  # while it looked
            try:
                async with asyncio.timeout(LOOK_EVERY_SECONDS):
                    await self._has_ended_many.wait()
            except TimeoutError:
                continue

    async def _look(self, now: float) -> None:
        """Find out what is done."""
        self._ended = 0
        moved, self._moved_bytes = self._moved_bytes, 0
        if moved:
            await self._ledger.note_moved(moved)
        await self._count()
        self._samples.append((now, self._counts.done))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_WINDOW_SECONDS:
            self._samples.popleft()

    async def _count(self) -> None:
        """Find out how many tags are done; all are counted at the beginning and the end alone."""
        handed = await self._ledger.settle()
        left, self._left = self._left, []
        await self._ledger.note_left(left)
        counts = self._counts
        if not counts.waiting or not self._samples:
            self._counts = await self._ledger.counts()
        else:
            done = counts.total - counts.waiting - handed
            self._counts = Counts(counts.waiting, handed, done)

    async def _leave_rest(self, log: EventLog) -> None:
        """End in a store that is full."""
        log.warning("backfill.full", left=self._counts.waiting, done=self._counts.done)
        await self._ledger.leave_waiting()
        self._counts = await self._ledger.counts()

    async def _hand_out(self, most: int, at: float) -> None:
        """Give the journal more; if this ends half-way the same tags are given once more."""
        tags = await self._ledger.waiting(most)
        await self._journal.take(
            Job(Target(Kind.TAG, repository, tag), Trigger.BACKFILL, at) for repository, tag in tags
        )
        await self._ledger.note_handed(tags)
        left = self._counts.waiting - len(tags) if len(tags) == most else 0
        self._counts = Counts(left, self._counts.handed + len(tags), self._counts.done)

    # --- what is told of it -----------------------------------------------------------------------

    @property
    def status(self) -> BackfillStatus:
        """How far it is."""
        counts, standing = self._counts, self._ledger.standing
        moved = standing.moved_bytes + self._moved_bytes
        total = round(moved * counts.total / counts.done) if counts.done else None
        left = counts.total - counts.done
        return BackfillStatus(
            self.is_finished, counts.done, counts.total, moved, total, self._eta_seconds(left)
        )

    def _eta_seconds(self, left: int) -> float | None:
        if left == 0 and self.is_finished:
            return 0.0
        if not self._samples:
            return None
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        return left * (last_at - first_at) / (last - first) if last > first else None
