"""The store and the chain of pullers over it, from the settings."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from config import Secret, Settings, read_password
from proxy.app.network import Network
from proxy.oci.caller import REPLICA
from proxy.registry.access import Authorized
from proxy.registry.assurance import Assurance
from proxy.registry.callers import KnownCallers
from proxy.registry.capacity import Capacity
from proxy.registry.clock import Clock
from proxy.registry.credentials import Basic, CredentialKeeper
from proxy.registry.decisions import Decisions
from proxy.registry.fetcher import Fetcher
from proxy.registry.fill import CacheFill
from proxy.registry.flights import FillLimits
from proxy.registry.freshness import Freshness, TagRules, TagTimes
from proxy.registry.integrity import Integrity
from proxy.registry.on_behalf import OnBehalf
from proxy.registry.pace import Pace
from proxy.registry.patterns import freshness_by_pattern
from proxy.registry.primary import Primary
from proxy.registry.promoting import Promoting
from proxy.registry.realm import Realm
from proxy.registry.room import Limits, Room
from proxy.registry.sidecar import Sidecar
from proxy.registry.store import Store
from proxy.registry.tag_checks import TagChecks
from proxy.registry.tagbook import TagBook
from proxy.registry.tags import FreshTags
from proxy.registry.token_service import TokenService
from proxy.registry.tree import Tree
from proxy.registry.uncached import Uncached
from proxy.registry.writes import Writes
from proxy.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Chain:
    """What answers pulls, outermost first in `puller`, and what it is made of."""

    puller: Authorized
    promoting: Promoting
    tags: FreshTags
    checks: TagChecks
    fill: CacheFill
    store: Store
    primary: Primary
    fetcher: Fetcher
    book: TagBook
    rules: TagRules
    writes: Writes
    pace: Pace


def known_callers(settings: Settings, clock: Clock) -> KnownCallers:
    """Give an empty memory of callers; it holds our own identity where one is configured."""
    access = settings.access
    keeper = CredentialKeeper(access.ttl, clock.now)
    hold_own_identity(keeper, settings, read_password(settings))
    limits = (access.ttl, access.outage_grace, access.max_decisions, clock.now)
    return KnownCallers(keeper, Decisions(*limits), Decisions(*limits), Decisions(*limits))


def hold_own_identity(
    keeper: CredentialKeeper, settings: Settings, password: Secret | None
) -> None:
    """Hold the replica's own credential, where one is configured."""
    if settings.primary.username and password is not None:
        keeper.hold_own(REPLICA, Basic(settings.primary.username, password.reveal()))


def open_store(settings: Settings, tree: Tree, stack: AsyncExitStack) -> Store:
    """Give the store over an open tree."""
    integrity = Integrity(tree, settings.fill.tail)
    stack.push_async_callback(integrity.close)
    return Store(
        tree,
        integrity,
        settings.store.manifest_cache,
        may_serve_unverified_parts=settings.fill.unverified_ranges,
        room=Room(Limits(settings.store.capacity, settings.store.min_free)),
    )


def tag_rules(settings: Settings) -> TagRules:
    """Give the rules of the `tags` section."""
    tags = settings.tags
    policy = freshness_by_pattern(
        [(rule.repositories, rule.tags, Freshness(rule.freshness)) for rule in tags.policies]
    )
    return TagRules(policy, tags.ttl, tags.stale_limit, tags.verify_every, tags.idle_verify)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a chain stands on."""

    store: Store
    capacity: Capacity
    sidecar: Sidecar
    network: Network
    realm: Realm
    tokens: TokenService
    callers: KnownCallers
    assurance: Assurance
    clock: Clock
    telemetry: Telemetry


def build_chain(settings: Settings, ground: Ground, stack: AsyncExitStack) -> Chain:
    """Put the chain together: Authorized(Promoting(FreshTags(CacheFill(store, primary))))."""
    metrics, log = ground.telemetry.metrics, ground.telemetry.log
    network, store = ground.network, ground.store
    behalf = OnBehalf(network.link, ground.realm, ground.tokens, ground.callers, ground.clock)
    primary = Primary(
        network.link, network.session, network.storage, behalf, metrics.upstream_bytes.inc
    )
    has_own_identity = ground.callers.keeper.credential(REPLICA) is not None
    fetcher = Fetcher(primary, has_own_identity=has_own_identity)
    pace = Pace(settings.replication.bandwidth, asyncio.get_running_loop().time)
    fill = _cache_fill(settings, store, fetcher, ground.telemetry, pace)
    book = TagBook(store.tree, ground.sidecar, ground.clock, log)
    rules = tag_rules(settings)
    times = TagTimes(rules, book.age, ground.assurance)
    checks = TagChecks(fill, book, fetcher, times, ground.clock)
    stack.push_async_callback(checks.close)
    tags = FreshTags(fill, book, checks, times, log)
    promoting = Promoting(tags, ground.capacity.usage, store.room)
    puller = Authorized(promoting, behalf.prove, ground.callers.rights, metrics)
    stack.push_async_callback(puller.close)
    writes = Writes(store, fill, book, ground.sidecar, ground.clock, log)
    pullers = (puller, promoting, tags, checks, fill, store)
    return Chain(*pullers, primary, fetcher, book, rules, writes, pace)


def _cache_fill(
    settings: Settings, store: Store, fetcher: Fetcher, telemetry: Telemetry, pace: Pace
) -> CacheFill:
    fill = settings.fill
    uncached = Uncached(
        fetcher,
        telemetry.metrics,
        tail_bytes=fill.tail,
        max_at_once=fill.max_uncached,
        may_serve_unverified_parts=fill.unverified_ranges,
    )
    limits = FillLimits(
        tail_bytes=fill.tail,
        max_concurrent=fill.max_concurrent,
        max_orphans=fill.max_orphans,
        may_serve_unverified_parts=fill.unverified_ranges,
        max_lanes=fill.connections,
        max_all_lanes=settings.primary.max_connections // 8,
        pace=pace,
    )
    return CacheFill(store, fetcher, uncached, limits, telemetry)
