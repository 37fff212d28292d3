"""Replication over a chain, from the settings."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from config import Settings
from proxy.app.chain import Chain, Ground
from proxy.oci.caller import REPLICA
from proxy.oci.platform import Platform
from proxy.oci.reference import Repository, Tag
from proxy.registry.bringing import Bringer
from proxy.registry.patterns import compiled
from proxy.registry.purge import Purger
from proxy.replication.copying import Means
from proxy.replication.history import History
from proxy.replication.journal import Journal
from proxy.replication.plan import Scope
from proxy.replication.targets import Here, Targets
from proxy.replication.workers import Workers, WorkLimits


@dataclass(frozen=True, slots=True)
class Replication:
    """What copies: the journal takes news, workers do them, the history tells of it."""

    journal: Journal
    workers: Workers
    history: History
    scope: Scope


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


async def build_replication(settings: Settings, chain: Chain, ground: Ground) -> Replication:
    """Put it together; its journal is open."""
    store, fill = chain.store, chain.fill
    means = Means(
        store,
        fill,
        chain.fetcher,
        Bringer(fill, store, fill.settled, REPLICA),
        REPLICA,
        ground.capacity.usage.was_evicted,
        asyncio.Semaphore(settings.replication.parts),
    )
    purger = Purger(store.tree, chain.book, ground.sidecar, fill, store.forget)
    scope, clock = scope_of(settings), ground.clock
    here = Here(chain.tags, chain.book, chain.writes, purger)
    targets = Targets(means, here, chain.primary, scope, clock)
    journal = Journal(ground.sidecar, clock)
    await journal.open()
    history = History(ground.sidecar, clock.wall, settings.replication.keep_log)
    limits = WorkLimits(settings.replication.concurrent, settings.replication.give_up)
    workers = Workers(journal, targets, history, limits, clock, ground.telemetry)
    return Replication(journal, workers, history, scope)
