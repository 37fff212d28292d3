"""The verbs on a store: of a running replica, with its memory, or alone under the store's lock."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from proxy.app.chain import Chain, Ground
from proxy.oci.caller import REPLICA
from proxy.registry import collect
from proxy.registry.adopt import Adopter
from proxy.registry.clock import SystemClock
from proxy.registry.collect import Collector
from proxy.registry.integrity import Integrity
from proxy.registry.orders import Order
from proxy.registry.prefetch import Prefetcher
from proxy.registry.progress import Events
from proxy.registry.purge import Purger
from proxy.registry.sidecar import Sidecar
from proxy.registry.store import Store
from proxy.registry.tagbook import TagBook
from proxy.registry.tree import Tree
from proxy.registry.verify import Verifier
from proxy.telemetry import EventLog, Metrics, Telemetry
from proxy.web.control import Verb


def verbs_of_replica(chain: Chain, ground: Ground) -> Mapping[str, Verb]:
    """Give the verbs that a running replica does: its memory follows what they change."""
    store, fill, book = chain.store, chain.fill, chain.book

    def verify(order: Order) -> Events:
        return Verifier(store.tree, book.drop, store).run(order)

    def gc(order: Order) -> Events:
        grace_seconds = collect.MIN_GRACE_SECONDS
        tree = store.tree
        collector = Collector(tree, grace_seconds, store.forget, fill.is_fetching, tree.on_removed)
        return collector.run(order)

    def purge(order: Order) -> Events:
        return Purger(store.tree, book, ground.sidecar, fill, store.forget).run(order)

    def prefetch(order: Order) -> Events:
        return Prefetcher(chain.tags, store, fill.settled, REPLICA).run(order)

    def adopt(order: Order) -> Events:
        return Adopter(store).run(order)

    return {"verify": verify, "gc": gc, "purge": purge, "prefetch": prefetch, "adopt": adopt}


@asynccontextmanager
async def verbs_alone(root: Path) -> AsyncIterator[Mapping[str, Verb]]:
    """Give the verbs that need no replica, on a store whose lock is held meanwhile.

    Raises: StoreInUse, SchemaTooNew. StoreUnavailable: nothing can be written there.
    """
    async with AsyncExitStack() as stack:
        descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
        telemetry = Telemetry(EventLog(descriptor), Metrics())
        stack.callback(telemetry.log.flush)
        tree = Tree(root, telemetry)
        await tree.open()
        stack.push_async_callback(tree.close)
        sidecar = Sidecar(tree.layout.sidecar)
        await sidecar.open()
        stack.push_async_callback(sidecar.close)
        book = TagBook(tree, sidecar, SystemClock(), telemetry.log)
        integrity = Integrity(tree, 0)
        stack.push_async_callback(integrity.close)
        store = Store(tree, integrity, 0, may_serve_unverified_parts=False)
        yield {
            "verify": Verifier(tree, book.drop).run,
            "gc": Collector(tree).run,
            "purge": Purger(tree, book, sidecar).run,
            "adopt": Adopter(store).run,
        }
