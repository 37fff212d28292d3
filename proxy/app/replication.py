"""Replication over a chain, from the settings."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from config import ReplicationSource, Settings
from proxy.app.chain import Chain, Ground
from proxy.net.hub import HubAddress, HubClient
from proxy.oci.caller import REPLICA
from proxy.oci.platform import Platform
from proxy.oci.reference import Repository, Tag
from proxy.registry.assurance import Assurance, NoAssurance
from proxy.registry.bringing import Bringer
from proxy.registry.clock import Clock
from proxy.registry.patterns import compiled
from proxy.registry.purge import Purger
from proxy.replication.assurance import MarkedTags
from proxy.replication.copying import Ahead, Means
from proxy.replication.following import Following
from proxy.replication.history import History
from proxy.replication.journal import Journal
from proxy.replication.marks import Marks
from proxy.replication.plan import Scope, jobs_of
from proxy.replication.reception import Parking, Reception
from proxy.replication.reporting import Reporter
from proxy.replication.status import Phase, Status, StatusOf
from proxy.replication.targets import Here, Targets
from proxy.replication.workers import Workers, WorkLimits
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
    """What copies: the journal takes news, workers do them, the history tells of it."""

    news: News
    journal: Journal
    workers: Workers
    history: History
    reception: Reception | None
    scope: Scope
    ahead: Ahead
    clock: Clock

    async def run(self, chain: Chain, log: EventLog, on_settings: Callable[[], None]) -> None:
        """Follow, copy and report for ever; *on_settings*: the hub has other settings for us."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.workers.run())
            if (following := self.news.following) is not None:
                reporter = Reporter(following.hub, self.history, self.status, log)
                tasks.create_task(reporter.run())
                forget = chain.fill.forget_negatives
                tasks.create_task(following.run(self.journal, forget, on_settings))

    async def status(self) -> Status:
        """Give how far behind this region is."""
        looked = StatusOf(self.journal, self.clock, self._phase, lambda: self.ahead.size_bytes)
        return await looked.now()

    def _phase(self) -> Phase:
        following = self.news.following
        if following is not None and following.is_refused:
            return Phase.DRAINING if self.workers.running else Phase.DRAINED
        return Phase.RUNNING


async def build_replication(
    settings: Settings, chain: Chain, ground: Ground, news: News
) -> Replication:
    """Put it together; what the journal still has marks its tags, so that a pull asks first."""
    store, fill, clock = chain.store, chain.fill, ground.clock
    means = Means(
        store,
        fill,
        chain.fetcher,
        Bringer(fill, store, fill.settled, REPLICA),
        REPLICA,
        ground.capacity.usage.was_evicted,
        asyncio.Semaphore(settings.replication.parts),
        Ahead(),
    )
    purger = Purger(store.tree, chain.book, ground.sidecar, fill, store.forget)
    scope = scope_of(settings)
    here = Here(chain.checks, chain.book, chain.writes, purger)
    targets = Targets(means, here, chain.primary, scope, clock)
    journal = Journal(ground.sidecar, clock, partial(jobs_of, scope=scope))
    await journal.open()
    reception = None
    if news.marks is not None:
        news.marks.add(await journal.marks())
        parking = Parking(ground.sidecar, settings.receiving.max_parked)
        told = (news.marks, parking, fill.forget_negatives, clock, ground.telemetry)
        reception = Reception(journal, *told)
    history = History(ground.sidecar, clock.wall, settings.replication.keep_log)
    limits = WorkLimits(settings.replication.concurrent, settings.replication.give_up)
    workers = Workers(journal, targets, history, limits, clock, ground.telemetry)
    return Replication(news, journal, workers, history, reception, scope, means.ahead, clock)


def scope_of(settings: Settings) -> Scope:
    """Give what is replicated here."""
    replication = settings.replication
    repositories = [compiled(pattern) for pattern in replication.repositories]
    tags = [compiled(pattern) for pattern in replication.tags]

    def has_repository(repository: Repository) -> bool:
        return any(pattern.fullmatch(repository) for pattern in repositories)

    def has_tag(tag: Tag) -> bool:
        return any(pattern.fullmatch(tag) for pattern in tags)

    return Scope(has_repository, has_tag, _platforms(replication.platforms))


def _platforms(texts: Sequence[str]) -> tuple[Platform, ...]:
    return tuple(map(Platform.parse, texts))
