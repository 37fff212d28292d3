"""Workers: so many jobs at a time, the most urgent first, again after a while if they fail.

Rules:
- News never wait for a backfill: it has half of the places at most.
- What fails comes again after a random time out of a growing one, or when the primary said; after
  `give_up_seconds` it is dead. While the primary can't be reached nothing is given up.
- Work that was under way when the process ended is begun anew: what it had brought is here.
"""

import asyncio
import random
from dataclasses import dataclass

from proxy.oci.errors import RegistryError, StoreUnavailable, Unavailable
from proxy.registry.clock import Clock
from proxy.replication.history import Entry, History
from proxy.replication.journal import Journal
from proxy.replication.targets import NotYet, Targets
from proxy.replication.work import Job, Priority, Trigger
from proxy.telemetry import Telemetry
from proxy.telemetry.labels import CopyEnd

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 900.0
JOURNAL_RETRY_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """How many jobs at once, and how long one is tried."""

    concurrent: int
    give_up_seconds: float


class Workers:
    """Does what the journal has. `run` is the task; it ends by being cancelled."""

    def __init__(
        self,
        journal: Journal,
        targets: Targets,
        history: History,
        limits: WorkLimits,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._journal = journal
        self._targets = targets
        self._history = history
        self._limits = limits
        self._clock = clock
        self._log = telemetry.log
        self._metrics = telemetry.metrics
        self._tasks: dict[asyncio.Task[None], Job] = {}
        self._is_draining = False

    @property
    def running(self) -> int:
        """How many jobs are being done."""
        return len(self._tasks)

    async def run(self) -> None:
        """Do jobs until cancelled."""
        try:
            while True:
                await self._start_due()
                await self._wait()
        finally:
            await self._let_go()

    async def drain(self) -> None:
        """Begin nothing more, and let go of what is being done: the next start begins it anew.

        Before fills are ended, so that it isn't taken for a failure and put off.
        """
        self._is_draining = True
        await self._let_go()

    async def _let_go(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _start_due(self) -> None:
        most = self._limits.concurrent - len(self._tasks)
        if most <= 0 or self._is_draining:
            self._journal.has_news.clear()  # the next that ends sets it again
            return
        for job in await self._journal.hand_out(most, self._below):
            if not self._is_wanted(job):
                self._journal.give_back(job)
                continue
            task = asyncio.create_task(self._do(job))
            self._tasks[task] = job
            task.add_done_callback(self._ended)

    @property
    def _below(self) -> Priority:
        """Give what may be started now: no more backfill if that has its half of the places."""
        later = sum(job.priority is Priority.BACKFILL for job in self._tasks.values())
        is_full = later >= max(1, self._limits.concurrent // 2)
        return Priority.REPAIR if is_full else Priority.BACKFILL

    def _is_wanted(self, job: Job) -> bool:
        return job.priority <= self._below and not self._is_draining

    def _ended(self, task: asyncio.Task[None]) -> None:
        job = self._tasks.pop(task)
        self._journal.has_news.set()
        self._journal.give_back(job)
        if not task.cancelled():
            task.result()

    async def _wait(self) -> None:
        """Wait until there may be something to start."""
        seconds = await self._journal.next_due_in(self._below)
        is_full = len(self._tasks) >= self._limits.concurrent
        if seconds is None or is_full or seconds > LONGEST_WAIT_SECONDS:
            seconds = LONGEST_WAIT_SECONDS
        try:
            async with asyncio.timeout(seconds):
                await self._journal.has_news.wait()
        except TimeoutError:
            return

    # --- one job ----------------------------------------------------------------------------------

    async def _do(self, job: Job) -> None:
        entry = self._history.began(job)
        try:
            outcome = await self._targets.settle(job)
            await self._journal.done(job)
        except NotYet as exc:
            await self._put_off(job, exc.seconds, str(exc), is_dead=False)
            self._history.failed(entry, str(exc), is_dead=False)
        except RegistryError as exc:
            await self._fail(job, entry, exc)
        except Exception as exc:  # noqa: BLE001  # a fault of ours costs this job, not all of them
            self._log.error("replication.crashed", target=str(job.target), error=repr(exc))
            await self._fail(job, entry, RegistryError("an internal fault"))
        else:
            self._tell(self._history.ended(entry, outcome))

    async def _fail(self, job: Job, entry: Entry, error: RegistryError) -> None:
        """Let a job come again later, or give it up."""
        is_dead = self._is_given_up(job, error)
        message = error.message.encode(errors="replace").decode()
        await self._put_off(job, _retry_seconds(job, error), message, is_dead=is_dead)
        self._tell(self._history.failed(entry, message, is_dead=is_dead))

    async def _put_off(self, job: Job, seconds: float, error: str, *, is_dead: bool) -> None:
        try:
            await self._journal.put_off(job, seconds, error, is_dead=is_dead)
        except StoreUnavailable:
            await asyncio.sleep(JOURNAL_RETRY_SECONDS)

    def _is_given_up(self, job: Job, error: RegistryError) -> bool:
        """Say whether it was tried for long enough. An outage and a store that is away take none.

        What the primary answers counts, be it 500 for this one thing alone.
        """
        is_away = isinstance(error, StoreUnavailable) or (
            isinstance(error, Unavailable) and not error.is_answered
        )
        age = self._clock.wall() - job.first_at
        return not is_away and age > self._limits.give_up_seconds

    def _tell(self, entry: Entry) -> None:
        if entry.end is None:
            return
        self._metrics.replicated(entry.end, entry.moved_bytes, entry.saved_bytes)
        if entry.end is CopyEnd.COMPLETE and entry.trigger == Trigger.EVENT:
            self._metrics.replication_lag.observe(entry.lag_seconds)
        self._log.info(
            f"replication.{entry.end}",
            repository=entry.repository,
            reference=entry.reference,
            digest=entry.digest,
            what=entry.what,
            trigger=entry.trigger,
            bytes=entry.moved_bytes,
            saved_bytes=entry.saved_bytes,
            attempts=entry.attempts,
            lag_seconds=round(entry.lag_seconds, 3),
            error=entry.error or None,
        )


def _retry_seconds(job: Job, error: RegistryError) -> float:
    """Give a random time out of one that doubles, and no less than the primary asked for."""
    longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(job.attempts, 20))
    least = 0.0
    if isinstance(error, Unavailable) and error.is_time_named:
        least = error.retry_after_seconds
    return least + random.uniform(0.0, longest)  # noqa: S311  # it spreads, it hides nothing
