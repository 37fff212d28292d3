"""C2: a replica that is killed while contents come and go."""

import threading
from collections.abc import Sequence
from http.client import HTTPException

from tests.capacity.scene import CAPACITY, REPOSITORY, blobs, stored_bytes
from tests.fills.calls import blob_path
from tests.support.layers import Blob
from tests.support.registry_client import RegistryClient
from tests.support.replica import Replica, replica
from tests.support.store_tree import wrong_blobs
from tests.support.waiting import wait_until


def test_a_kill_amid_eviction_costs_nothing(upstream, opened):
    """C2: after kills amid fills and evictions everything visible is right, the accounts agree with
    the disk once it was counted, and the store is within its capacity.
    """
    running = opened(replica(upstream.url, store={"capacity": CAPACITY}))
    for life in range(2):
        kill_amid(running, blobs(upstream, 20, f"life-{life}"))
        assert wrong_blobs(running.store) == set()
        counted = len(running.events("store.counted"))
        running.start()
        wait_until(lambda before=counted: len(running.events("store.counted")) > before)
        wait_until(
            lambda: running.metrics().value("proxima_store_bytes") == stored_bytes(running.store),
            what="accounts agree",
        )
        assert 0 < stored_bytes(running.store) <= CAPACITY
        assert list((running.store / "spool").iterdir()) == []


def kill_amid(running: Replica, many: Sequence[Blob]) -> None:
    """Kill a replica whose clients pull more than it may hold, once contents go."""
    pulling = threading.Thread(target=_pull, args=(running, many))
    evicted = len(running.events("store.evicted"))
    pulling.start()
    wait_until(lambda: len(running.events("store.evicted")) > evicted, what="contents go")
    running.kill()
    pulling.join(20)
    assert not pulling.is_alive()


def _pull(running: Replica, many: Sequence[Blob]) -> None:
    client = RegistryClient(running.url)
    try:
        for each in many:
            assert client.get(blob_path(REPOSITORY, each.digest)).body == each.data
    except (OSError, HTTPException):
        return  # the kill
