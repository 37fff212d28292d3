"""What outlives a replica: the order of eviction, the accounts, the pins; and their loss."""

import os
import shutil
import threading

import pytest

from proxy.registry import recount
from tests.capacity.scene import BLOB_BYTES, CAPACITY, REPOSITORY, Scene, blobs
from tests.fills.in_process import in_process
from tests.support.layers import random_blob
from tests.support.store_tree import linked_blobs, visible_blobs, wrong_blobs
from tests.support.waiting import wait_until


@pytest.fixture
def life(upstream, folder):
    """Gives a function that runs a replica on one store for the length of a block."""

    class Life:
        def __init__(self, **store):
            self._context = in_process(
                upstream.url, root=folder, store={"capacity": CAPACITY, **store}
            )

        def __enter__(self) -> Scene:
            return Scene(self._context.__enter__(), upstream)

        def __exit__(self, *error):
            return self._context.__exit__(*error)

    return Life


def test_a_restart_keeps_the_order(life, upstream):
    """What was used last before a restart stays after it, and the accounts go on."""
    many = blobs(upstream, 9)
    with life() as scene:
        scene.pull(many)
        scene.settle()
        scene.pull(many[:4])
    with life() as scene:
        scene.wait_counted()
        scene.pull(blobs(upstream, 3, "new"))
        assert {each.digest for each in many[:4]} <= scene.visible
        assert many[4].digest not in scene.visible
        assert scene.stored_bytes <= CAPACITY


def test_pins_outlive_a_restart(life, upstream, proxima, folder):
    """A pin that was set holds in the next life, too; a lost sidecar costs it."""
    first, *more = blobs(upstream, 20)
    store = ("--primary", "http://primary.test", "--store", folder)
    with life() as scene:
        scene.pull([first])
        assert proxima("pin", f"{REPOSITORY}@{first.digest}", *store).status == 0
    with life() as scene:
        scene.pull(more)
        assert first.digest in scene.visible
        assert first.digest in proxima("pins", *store).output
    (folder / "proxima.sqlite").unlink()
    with life() as scene:
        assert proxima("pins", *store).output == "nothing is pinned\n"


def test_a_lost_sidecar_costs_order_alone(life, upstream, folder):
    """Rights and bytes are all there, the store is counted again and kept within its capacity."""
    many = blobs(upstream, 9)
    with life() as scene:
        scene.pull(many)
    (folder / "proxima.sqlite").unlink()
    with life() as scene:
        scene.wait_counted()
        assert scene.capacity.usage.stored_contents == 9
        before = [scene.fetched(each) for each in many]
        for each in many:
            assert scene.get(each).expect(200).body == each.data
            assert scene.get(each, "other").status == 404
        assert [scene.fetched(each) for each in many] == before
        assert linked_blobs(folder, REPOSITORY) == {each.digest for each in many}
        scene.pull(blobs(upstream, 5, "new"))
        assert scene.stored_bytes <= CAPACITY
        assert scene.metric("evicted_contents_total") > 0
    assert wrong_blobs(folder) == set()


def test_a_lost_sidecar_takes_order_from_the_files(life, upstream, folder):
    """Without an index the files' own times tell what was used last."""
    many = blobs(upstream, 9)
    with life() as scene:
        scene.pull(many)
    for age, each in enumerate(many):
        file = visible_blobs(folder)[each.digest]
        os.utime(file, (1_700_000_000 - age, 1_700_000_000 - age))
    (folder / "proxima.sqlite").unlink()
    with life() as scene:
        scene.wait_counted()
        scene.pull(blobs(upstream, 2, "new"))
        assert many[-1].digest not in scene.visible
        assert many[0].digest in scene.visible


def test_a_smaller_capacity_is_reached_after_a_restart(life, upstream):
    """Lowering the setting evicts what is too much, least recently used first, without a pull."""
    many = blobs(upstream, 9)
    with life() as scene:
        scene.pull(many)
    with life(capacity=5 * BLOB_BYTES) as scene:
        scene.wait_below(5 * BLOB_BYTES)
        wait_until(lambda: scene.capacity.usage.stored_bytes == scene.stored_bytes)
        assert many[0].digest not in scene.visible
        assert many[-1].digest in scene.visible


def test_files_that_others_took_or_put_are_found(life, upstream, folder):
    """The recount corrects the accounts: a file that somebody removed, one that somebody added."""
    many = blobs(upstream, 6)
    with life() as scene:
        scene.pull(many)
    shutil.rmtree(visible_blobs(folder)[many[0].digest].parent)
    added = random_blob(BLOB_BYTES // 2, "added")
    path = (
        folder / "docker/registry/v2/blobs/sha256" / added.digest[7:9] / added.digest[7:] / "data"
    )
    path.parent.mkdir(parents=True)
    path.write_bytes(added.data)
    with life() as scene:
        scene.wait_counted()
        assert scene.capacity.usage.stored_contents == 6
        assert scene.metric("store_bytes") == 5 * BLOB_BYTES + BLOB_BYTES // 2
        scene.pull(many)
        scene.pull(blobs(upstream, 10, "new"))
        assert scene.stored_bytes <= CAPACITY
    assert wrong_blobs(folder) == set()


def test_without_a_limit_nothing_goes(life, upstream):
    """The default: everything is kept, counted and ordered, so that a limit can be set later."""
    many = blobs(upstream, 12)
    with life(capacity=0) as scene:
        scene.pull(many)
        assert len(scene.visible) == 12
        assert scene.metric("evicted_contents_total") == 0
        assert scene.metric("store_bytes") == 12 * BLOB_BYTES
    with life() as scene:
        scene.wait_below(CAPACITY)
        assert many[-1].digest in scene.visible
        assert many[0].digest not in scene.visible


def test_a_start_waits_for_no_count(life, upstream, monkeypatch):
    """Start-up doesn't walk the tree: pulls are answered while the first count hangs."""
    one = blobs(upstream, 1)
    with life() as scene:
        scene.pull(one)
    gate, asked = threading.Event(), threading.Event()
    real = recount.contents_in

    def hanging(folder, algorithm):
        asked.set()
        gate.wait(20)
        return real(folder, algorithm)

    monkeypatch.setattr(recount, "contents_in", hanging)
    with life() as scene:
        assert asked.wait(10)
        scene.pull(one)
        assert scene.fetched(one[0]) == 1
        assert scene.metric("store_bytes") == BLOB_BYTES
        assert scene.running.events("store.counted") == []
        gate.set()
        scene.wait_counted()
