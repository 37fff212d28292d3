"""Replication over a chain, from the settings."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from config import ReplicationSource, Settings
from proxy.app.chain import Chain, Ground
from proxy.app.repair import Repair, build_repair, primary_there
from proxy.net.hub import HubAddress, HubClient
from proxy.oci.caller import REPLICA
from proxy.oci.digest import Digest
from proxy.oci.platform import Platform
from proxy.oci.reference import Repository, Tag
from proxy.registry.assurance import Assurance, NoAssurance
from proxy.registry.bringing import Bringer
from proxy.registry.clock import Clock
from proxy.registry.listings import REFERRERS
from proxy.registry.patterns import compiled
from proxy.registry.purge import Purger
from proxy.registry.sidecar import Sidecar
from proxy.replication.assurance import MarkedTags
from proxy.replication.completing import Completing
from proxy.replication.copying import Ahead, Means
from proxy.replication.following import Following
from proxy.replication.history import History
from proxy.replication.journal import Journal
from proxy.replication.load import Load
from proxy.replication.marks import Marks
from proxy.replication.plan import Scope, jobs_of
from proxy.replication.presence import Presence
from proxy.replication.reception import Parking, Reception
from proxy.replication.referring import Referring
from proxy.replication.reporting import Reporter
from proxy.replication.status import Phase, StatusOf
from proxy.replication.targets import Here, Targets
from proxy.replication.workers import Workers, WorkLimits
from proxy.serving.standing import Work, keep_running
from proxy.telemetry import Metrics
from proxy.telemetry.logs import EventLog


@dataclass(frozen=True, slots=True)
class News:
    """Who tells of pushes, if anybody does, and what that says of tags."""

    assurance: Assurance
    marks: Marks | None = None
    following: Following | None = None


def open_news(settings: Settings, clock: Clock, log: EventLog, stack: AsyncExitStack) -> News:
    """Give what the settings say. Raises: ValueError, OSError: the hub can't be spoken to."""
    replication = settings.replication
    if replication.source is ReplicationSource.NONE:
        return News(NoAssurance())
    if replication.source is ReplicationSource.NOTIFICATIONS:
        marks = Marks(clock)
        return News(MarkedTags(marks), marks)
    if replication.hub_url is None or replication.token_file is None:
        raise ValueError("a hub needs replication.hub_url and replication.token_file")
    address = HubAddress(replication.hub_url, replication.token_file, replication.ca_file)
    hub = HubClient(address, f"proxima ({settings.region})" if settings.region else "proxima")
    stack.push_async_callback(hub.close)
    following = Following(hub, clock, log)
    return News(following.assurance, following.marks, following)


@dataclass(frozen=True, slots=True)
class Replication:
    """What copies: the journal takes news, workers do them, the history tells of it; *repair* looks
    for what no news told of.
    """

    news: News
    journal: Journal
    workers: Workers
    history: History
    reception: Reception | None
    scope: Scope
    repair: Repair
    completing: Completing
    presence: Presence
    status: StatusOf
    clock: Clock

    async def run(
        self,
        chain: Chain,
        log: EventLog,
        on_settings: Callable[[], None],
        load: Callable[[], Load],
    ) -> None:
        """Follow, copy and report for ever; *on_settings*: the hub has other settings for us."""
        works: dict[str, Work] = {
            "workers": self.workers.run,
            "status": self.status.run,
            "completing": self.completing.run,
            "presence": self.presence.run,
            "backfill": partial(self.repair.backfill.run, self.clock, log),
            "reconcile": self.repair.reconciler.run,
        }
        if (following := self.news.following) is not None:
            reporter = Reporter(following.hub, self.history, self.status.now, load, log)
            works["reports"] = reporter.run
            forget = chain.fill.forget_negatives
            works["following"] = partial(following.run, self.journal, forget, on_settings)
        await keep_running(works, log)

    def watch(self, metrics: Metrics) -> None:
        """Show how far behind this region is."""
        status = self.status
        metrics.watch(
            "replication_behind_seconds",
            "Age of the oldest event that isn't complete here.",
            lambda: status.latest.lag_seconds,
        )
        metrics.watch("replication_queue", "Jobs left to do.", lambda: status.latest.queue)
        metrics.watch("replication_dead", "Jobs that were given up.", lambda: status.latest.dead)
        metrics.watch(
            "replication_behind_bytes",
            "Bytes that copies under way still lack.",
            lambda: status.latest.bytes_behind,
        )
        if self.news.following is not None:
            is_live = self.news.assurance.is_live
            metrics.watch("lease", "1: tags are known to be current.", is_live)

    def as_document(self) -> dict[str, object]:
        """Give it for people who look at health."""
        return {**self.status.latest.as_document(), "has_lease": self.news.assurance.is_live()}


async def build_replication(
    settings: Settings, chain: Chain, ground: Ground, news: News
) -> Replication:
    """Put it together; what the journal still has marks its tags, so that a pull asks first."""
    store, fill, clock = chain.store, chain.fill, ground.clock
    usage = ground.capacity.usage
    means = Means(
        store,
        fill,
        chain.fetcher,
        Bringer(fill, store, fill.settled, REPLICA),
        REPLICA,
        usage.was_evicted,
        asyncio.Semaphore(settings.replication.parts),
        Ahead(),
        partial(_forget_referrers, ground.sidecar),
    )
    purger = Purger(store.tree, chain.book, ground.sidecar, fill, store.forget)
    scope = scope_of(settings)
    if news.following is not None:
        scope.told = news.following.told
    here = Here(chain.checks, chain.book, chain.writes, purger, ground.callers.rights)
    there = primary_there(settings, chain, clock, scope)
    referring = Referring(means, there, chain.book, clock, ground.telemetry.log)
    targets = Targets(means, here, chain.primary, scope, clock, referring)
    journal = Journal(ground.sidecar, clock, partial(jobs_of, scope=scope))
    await journal.open()
    reception = None
    if news.marks is not None:
        news.marks.add(await journal.marks())
        kept = (settings.receiving.max_parked, settings.receiving.max_parked_size)
        parking = Parking(ground.sidecar, *kept)
        told = (news.marks, parking, fill.forget_negatives, clock, ground.telemetry)
        reception = Reception(journal, *told)
    history = History(ground.sidecar, clock.wall, settings.replication.keep_log)
    limits = WorkLimits(settings.replication.concurrent, settings.replication.give_up)
    workers = Workers(journal, targets, history, limits, clock, ground.telemetry)
    repair = await build_repair(settings, chain, ground, there, journal, scope)
    history.on_ended = repair.backfill.hear
    completing = Completing(journal, store, clock)
    chain.promoting.on_pulled = completing.hear
    presence = Presence(history, store.tree, usage.write, ground.telemetry.log)

    def phase() -> Phase:
        if news.following is not None and news.following.is_refused:
            return Phase.DRAINING if workers.running else Phase.DRAINED
        return Phase.RUNNING if repair.backfill.is_finished else Phase.BACKFILLING

    status = StatusOf(journal, repair.backfill, means.ahead, phase, clock)
    replication = Replication(
        news,
        journal,
        workers,
        history,
        reception,
        scope,
        repair,
        completing,
        presence,
        status,
        clock,
    )
    replication.watch(ground.telemetry.metrics)
    return replication


def _forget_referrers(sidecar: Sidecar, repository: Repository, subject: Digest) -> None:
    sidecar.drop_answers(REFERRERS, repository, str(subject))


def scope_of(settings: Settings) -> Scope:
    """Give what is replicated here."""
    replication = settings.replication
    repositories = [compiled(pattern) for pattern in replication.repositories]
    tags = [compiled(pattern) for pattern in replication.tags]

    excluded = frozenset(map(Repository.parse, replication.excluded))

    def has_repository(repository: Repository) -> bool:
        return repository not in excluded and any(
            pattern.fullmatch(repository) for pattern in repositories
        )

    def has_tag(tag: Tag) -> bool:
        return any(pattern.fullmatch(tag) for pattern in tags)

    return Scope(has_repository, has_tag, _platforms(replication.platforms), excluded)


def _platforms(texts: Sequence[str]) -> tuple[Platform, ...]:
    return tuple(map(Platform.parse, texts))
