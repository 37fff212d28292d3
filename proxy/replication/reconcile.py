"""Reconcile: from time to time all is compared with the primary, and what events missed is mended.

Rules:
- A round comes every so often, and at once after a gap in the event log, or when deletions that
  were held are given leave. Which gap the last whole round answered is durable: a restart in the
  middle begins it again.
- Repositories that clients pulled from lately come first.
- What is found becomes a job; it is the job that asks the primary what is so.
- Deletions wait for the end of the round. More than `MAX_GONE_RATIO` of the tags that are here, or
  all of them, is no news but an alarm: none of them is removed without leave. For manifests that no
  tag leads to the same holds by itself: collecting these is what primaries do from time to time.
- A primary that doesn't answer ends the round; the next comes after a while.
- Bytes that were evicted are never fetched back.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from proxy.oci.digest import Digest
from proxy.oci.errors import RegistryError, StoreUnavailable
from proxy.oci.reference import Reference, Repository
from proxy.registry.clock import Clock
from proxy.registry.sidecar import Sidecar
from proxy.replication.catalogue import There
from proxy.replication.comparing import Comparing, Differences, Known
from proxy.replication.survey import hottest_first
from proxy.replication.work import Job, Kind, Target, Trigger
from proxy.telemetry import Telemetry
from proxy.telemetry.labels import Finding, RoundEnd

MAX_GONE_RATIO = 0.05
MAX_TOLD = 1_000
LOOK_EVERY_SECONDS = 1.0
FIRST_RETRY_SECONDS = 15.0
LONGEST_RETRY_SECONDS = 900.0
JITTER = (0.9, 1.1)

_PROVEN = "reconcile.proven"
_ANSWERED = "reconcile.answered"
_HELD = "reconcile.held"
_NEVER = float("-inf")


@dataclass(slots=True)
class ReconcileRules:
    """How often, in seconds (0: after gaps alone), and whether many tags may go at once."""

    every_seconds: float
    allows_mass_delete: bool = False

    def become(self, other: "ReconcileRules") -> None:
        """Take over other rules: they count from the next round on."""
        self.every_seconds = other.every_seconds
        self.allows_mass_delete = other.allows_mass_delete


def may_remove(gone: int, total: int) -> bool:
    """Say whether so many of the tags that are here may go at once: 5% of them, or one of several.

    Source: what removes more is rather a primary that lost its storage, or shows us another one.
    """
    return gone < total and gone <= max(1, int(total * MAX_GONE_RATIO))


def _no_deletions() -> dict[Finding, list[Job]]:
    return {Finding.GONE: [], Finding.MANIFEST_GONE: []}


@dataclass(slots=True)
class _Round:
    """What one round has seen so far."""

    started_at: float
    answers: float
    repositories: int = 0
    tags: int = 0
    manifests: int = 0
    unanswered: int = 0
    found: Counter[Finding] = field(default_factory=Counter)
    deletions: dict[Finding, list[Job]] = field(default_factory=_no_deletions)

    @property
    def totals(self) -> dict[Finding, int]:
        """How many there are of what may be gone."""
        return {Finding.GONE: self.tags, Finding.MANIFEST_GONE: self.manifests}


class Reconciler:
    """Compares. `open` it first; `run` is the task, which ends by being cancelled."""

    def __init__(
        self,
        there: There,
        known: Known,
        rules: ReconcileRules,
        sidecar: Sidecar,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._there = there
        self._known = known
        self._journal = known.journal
        self._rules = rules
        self._sidecar = sidecar
        self._clock = clock
        self._log = telemetry.log
        self._metrics = telemetry.metrics
        self._comparing = Comparing(there, known, clock, telemetry.log)
        self._answered = ""
        self._is_holding = False
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._next_at = _NEVER
        self._retry_at = _NEVER
        self.proven_at = _NEVER
        """Wall-clock seconds at which the last round began that ended well."""

    async def open(self) -> None:
        """Read when all was compared last, and what that answered."""
        proven = await self._sidecar.fact(_PROVEN)
        self.proven_at = float(proven) if proven else _NEVER
        self._answered = await self._sidecar.fact(_ANSWERED) or ""
        self._is_holding = bool(await self._sidecar.fact(_HELD))
        if proven:
            age = max(0.0, self._clock.wall() - self.proven_at)
            self._next_at = self._clock.now() - age + self._jittered()

    def become(self, rules: ReconcileRules) -> None:
        """Take over other rules; a shorter time between rounds counts at once."""
        self._rules.become(rules)
        self._next_at = min(self._next_at, self._clock.now() + self._jittered())

    async def run(self) -> None:
        """Compare whenever it is due."""
        while True:
            await self._until_due()
            await self.round()

    async def _until_due(self) -> None:
        while not self._is_due():
            self._journal.has_gap.clear()
            try:
                async with asyncio.timeout(LOOK_EVERY_SECONDS):
                    await self._journal.has_gap.wait()
            except TimeoutError:
                continue

    def _is_due(self) -> bool:
        now = self._clock.now()
        if self._has_gap() or self._has_leave():
            return now >= self._retry_at
        return bool(self._rules.every_seconds) and now >= max(self._next_at, self._retry_at)

    def _has_gap(self) -> bool:
        """Say whether news were missed that no whole round has answered."""
        since = self._journal.trusted_since
        return since != float("inf") and str(since) != self._answered

    def _has_leave(self) -> bool:
        """Say whether deletions that were held may be carried out."""
        return self._is_holding and self._rules.allows_mass_delete

    def _jittered(self) -> float:
        return self._rules.every_seconds * random.uniform(*JITTER)  # noqa: S311

    # --- one round --------------------------------------------------------------------------------

    async def round(self) -> RoundEnd:
        """Compare everything once; give how that ended."""
        current = _Round(self._clock.wall(), self._journal.trusted_since)
        try:
            await self._compare(current)
            end = await self._remove(current)
            await self._note_ended(current, end)
        except RegistryError as exc:
            end = RoundEnd.UNREACHABLE
            self._put_off()
            self._tell_ended(current, end, exc.message)
        else:
            self._tell_ended(current, end)
        return end

    async def _compare(self, current: _Round) -> None:
        overview = await self._there.catalogue.overview()
        for repository in await hottest_first(self._known.tree, self._known.usage, overview.all):
            differences = await self._comparing.compare(repository, overview)
            current.repositories += 1
            current.tags += differences.tags
            current.manifests += differences.manifests
            current.unanswered += differences.unanswered
            await self._take(current, repository, differences)

    async def _take(
        self, current: _Round, repository: Repository, differences: Differences
    ) -> None:
        """Let the journal have what was found, deletions aside."""
        jobs: list[Job] = []
        count = differences.tags or differences.manifests
        if differences.is_gone and count:
            kind = Finding.GONE if differences.tags else Finding.MANIFEST_GONE
            self._tell(current, kind, repository, None, count)
            current.deletions[kind].append(self._job(repository, None))
        for kind, reference in differences.found:
            self._tell(current, kind, repository, reference)
            current.deletions.get(kind, jobs).append(self._job(repository, reference))
        if jobs:
            await self._journal.take(jobs)

    def _job(self, repository: Repository, reference: Reference | None) -> Job:
        match reference:
            case None:
                kind = Kind.REPOSITORY
            case Digest():
                kind = Kind.MANIFEST
            case _:
                kind = Kind.TAG
        return Job(Target(kind, repository, reference), Trigger.RECONCILE, self._clock.wall())

    async def _remove(self, current: _Round) -> RoundEnd:
        held = 0
        for kind, jobs in current.deletions.items():
            gone, total = current.found[kind], current.totals[kind]
            if gone and not self._rules.allows_mass_delete and not may_remove(gone, total):
                self._log.error("reconcile.deletions_held", kind=kind, gone=gone, there=total)
                held += gone
            else:
                await self._journal.take(jobs)
        self._metrics.held_deletions.set(held)
        return RoundEnd.HELD if held else RoundEnd.COMPLETE

    async def _note_ended(self, current: _Round, end: RoundEnd) -> None:
        """Note what is answered, and proven where nothing was held back.

        Raises: StoreUnavailable: it comes again.
        """
        is_holding = end is RoundEnd.HELD
        facts = {_ANSWERED: str(current.answers), _HELD: "1" if is_holding else ""}
        if end is RoundEnd.COMPLETE:
            facts[_PROVEN] = str(current.started_at)
        if self._known.backfill.is_nothing and not self._known.backfill.is_planned:
            await self._known.ledger.note_planned()
        put = "INSERT OR REPLACE INTO fact VALUES (?, ?)"
        if not await self._sidecar.transact([(put, fact) for fact in facts.items()]):
            raise StoreUnavailable("what was compared can't be noted")
        self._answered, self._is_holding = facts[_ANSWERED], is_holding
        if end is RoundEnd.COMPLETE:
            self.proven_at = current.started_at
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._next_at = self._clock.now() + self._jittered()

    def _put_off(self) -> None:
        seconds = self._retry_seconds * random.uniform(0.5, 1.0)  # noqa: S311
        self._retry_at = self._clock.now() + seconds
        self._retry_seconds = min(LONGEST_RETRY_SECONDS, 2 * self._retry_seconds)

    # --- what is told of it -----------------------------------------------------------------------

    def _tell(
        self,
        current: _Round,
        kind: Finding,
        repository: Repository,
        reference: Reference | None,
        count: int = 1,
    ) -> None:
        self._metrics.found(kind, count)
        if current.found.total() < MAX_TOLD:
            name = "digest" if isinstance(reference, Digest) else "tag"
            told = None if reference is None else str(reference)
            self._log.info("reconcile.found", kind=kind, repository=repository, **{name: told})
        current.found[kind] += count

    def _tell_ended(self, current: _Round, end: RoundEnd, error: str = "") -> None:
        self._metrics.reconciled(end)
        tell = self._log.info if end is RoundEnd.COMPLETE else self._log.warning
        tell(
            "reconcile.ended",
            end=end,
            seconds=round(self._clock.wall() - current.started_at, 3),
            repositories=current.repositories,
            tags=current.tags,
            manifests=current.manifests,
            unanswered=current.unanswered,
            **{str(kind): current.found[kind] for kind in Finding},
            error=error or None,
        )
