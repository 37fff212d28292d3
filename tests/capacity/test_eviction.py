"""A replica whose clients pull more than its store may hold."""

import pytest

from tests.capacity.scene import BLOB_BYTES, CAPACITY, REPOSITORY, blobs
from tests.fills.calls import blob_path, causes, get, head, manifest_path
from tests.support.hostile import Stall
from tests.support.images import oci_image
from tests.support.layers import random_blob
from tests.support.pushing import push_blob
from tests.support.raw_http import raw_connection, request_bytes
from tests.support.store_tree import linked_blobs, wrong_blobs
from tests.support.waiting import wait_until


def test_the_store_stays_within_its_capacity(scene, upstream):
    """T25: pulls of five times the capacity all succeed, and the disk never holds more than it,
    fills under way included; hits are served meanwhile without asking anybody.
    """
    hot, *many = blobs(upstream, 51)
    scene.pull([hot])
    for number, content in enumerate(many):
        assert scene.get(content).body == content.data
        assert scene.taken_bytes <= CAPACITY
        if number % 3 == 0:
            scene.running.wait_idle()
            assert CAPACITY // 10 < scene.stored_bytes <= CAPACITY
            scene.settle()
            assert scene.get(hot).body == hot.data
    assert scene.fetched(hot) == 1
    scene.running.wait_idle()
    assert scene.stored_bytes <= CAPACITY
    assert scene.metric("evicted_contents_total") >= 40
    assert (
        scene.metric("evicted_bytes_total") == scene.metric("evicted_contents_total") * BLOB_BYTES
    )
    assert scene.metric("store_bytes") == scene.stored_bytes
    assert scene.metric("capacity_bytes") == CAPACITY
    lines = scene.running.events("store.evicted")
    assert sum(line["bytes"] for line in lines) == scene.metric("evicted_bytes_total")
    assert wrong_blobs(scene.running.store) == set()


def test_least_recently_used_goes_first(scene, upstream):
    """What was pulled again stays, what was pulled once and longest ago goes."""
    many = blobs(upstream, 9)
    scene.pull(many)
    scene.settle()
    scene.pull(many[:4])
    scene.pull(blobs(upstream, 3, "new"))
    here = scene.visible
    assert {each.digest for each in many[:4]} <= here
    assert many[4].digest not in here
    gone = [each.digest for each in many if each.digest not in here]
    assert gone == [each.digest for each in many[4 : 4 + len(gone)]]


def test_what_was_pushed_and_never_pulled_goes_first(scene, upstream):
    """Probation: blobs kept from pushes go before blobs that were pulled long ago; one that is
    pulled after its push is promoted.
    """
    pulled = blobs(upstream, 4)
    scene.pull(pulled)
    pushed = [random_blob(BLOB_BYTES, f"pushed-{number}") for number in range(5)]
    for each in pushed:
        push_blob(scene.client, REPOSITORY, each)
    promoted = pushed[0]
    assert scene.get(promoted).body == promoted.data
    wait_until(lambda: {each.digest for each in pushed} <= scene.visible, what="kept")
    assert all(scene.fetched(each) == 0 for each in pushed)
    scene.pull(blobs(upstream, 3, "new"))
    here = scene.visible
    assert {each.digest for each in (*pulled, promoted)} <= here
    assert not {each.digest for each in pushed[1:3]} & here


def test_manifests_and_configs_go_last(scene, upstream):
    """Small contents stay though they were used longest ago."""
    image = upstream.contents.add(REPOSITORY, oci_image("small"), "1.0")
    scene.client.get(manifest_path(REPOSITORY, "1.0")).expect(200)
    scene.pull(image.all_blobs())
    scene.pull(blobs(upstream, 20))
    assert {image.digest, *(each.digest for each in image.all_blobs())} <= scene.visible
    assert scene.metric("evicted_contents_total") > 0


def test_an_evicted_blob_is_pulled_again(scene, upstream):
    """Evicted is a state: the link stays, the next pull brings the bytes back with one request,
    and a HEAD tells of it before that.
    """
    first, *more = blobs(upstream, 20)
    scene.pull([first, *more])
    assert first.digest not in scene.visible
    assert first.digest in linked_blobs(scene.running.store, REPOSITORY)
    path = blob_path(REPOSITORY, first.digest)
    with causes(upstream, head(path), get(path)):
        scene.client.head(path).expect(200)
        scene.pull([first])
    assert first.digest in scene.visible
    scene.pull([first])
    assert scene.fetched(first) == 2


def test_eviction_changes_no_rights(scene, upstream):
    """C4: bytes that went and came back are as unreadable through another repository as before."""
    first, *more = blobs(upstream, 20)
    upstream.contents.add_blob("other", random_blob(100, "else"))
    scene.pull([first, *more])
    assert scene.get(first, "other").status == 404
    scene.pull([first])
    assert scene.get(first, "other").status == 404
    assert first.digest not in linked_blobs(scene.running.store, "other")


def test_a_deleted_blob_isnt_brought_back_by_a_refill(scene, upstream):
    """Settled 15: capacity removes bytes, deletion removes links: what was evicted and then
    deleted is gone.
    """
    first, *more = blobs(upstream, 20)
    scene.pull([first, *more])
    assert first.digest not in scene.visible
    path = blob_path(REPOSITORY, first.digest)
    scene.client.delete(path).expect(202)
    assert scene.get(first).status == 404
    assert first.digest not in linked_blobs(scene.running.store, REPOSITORY)


@pytest.mark.parametrize("size", [CAPACITY + 1, 3 * CAPACITY])
def test_a_blob_larger_than_the_store_passes_through(scene, upstream, size):
    """Admission: what can't fit is served whole, kept nowhere, and nothing is evicted for it."""
    warm = blobs(upstream, 5)
    scene.pull(warm)
    giant = upstream.contents.add_blob(REPOSITORY, random_blob(size, "giant"))
    for _ in range(2):
        assert scene.get(giant).expect(200).body == giant.data
    assert {each.digest for each in warm} == scene.visible
    assert scene.metric("fills_total", end="uncached") >= 2
    assert scene.metric("refused_claims") == 2
    assert scene.metric("evicted_contents_total") == 0


def test_what_is_being_sent_stays(start, upstream):
    """F26: the oldest blob, which a slow client still reads, stays, and goes once it is read."""
    scene = start(capacity=20_000_000)
    slow = upstream.contents.add_blob(REPOSITORY, random_blob(16_000_000, "slow"))
    scene.pull([slow])
    scene.settle()
    more = [random_blob(1_500_000, f"more-{number}") for number in range(9)]
    for each in more:
        upstream.contents.add_blob(REPOSITORY, each)
    address = scene.running.address
    with raw_connection(address, receive_buffer_bytes=4096) as reading:
        reading.send(request_bytes("GET", blob_path(REPOSITORY, slow.digest), address))
        wait_until(lambda: scene.capacity.room.in_use, what="it is being sent")
        scene.pull(more[:6])
        assert slow.digest in scene.visible
        assert scene.metric("evicted_contents_total") > 0
        assert reading.read(1000)
    wait_until(lambda: not scene.capacity.room.in_use, what="it is let go")
    scene.settle()
    scene.pull(more[6:])
    wait_until(lambda: slow.digest not in scene.visible, what="it is evicted")


def test_running_fills_claim_their_room(scene, upstream):
    """Settled 23: a fill's size counts from its start: one that doesn't fit beside those under way
    passes through, and is kept once they have ended.
    """
    large = [
        upstream.contents.add_blob(REPOSITORY, random_blob(CAPACITY * 6 // 10, f"large-{number}"))
        for number in range(2)
    ]
    stall = upstream.inject(Stall(1000), method="GET", path=blob_path(".+", large[0].digest))
    address = scene.running.address
    with raw_connection(address) as waiting:
        waiting.send(request_bytes("GET", blob_path(REPOSITORY, large[0].digest), address))
        stall.wait_fired()
        wait_until(lambda: scene.metric("claimed_bytes") == len(large[0].data), what="claimed")
        assert scene.get(large[1]).body == large[1].data
        assert scene.visible == set()
        stall.release()
        scene.running.wait_idle()
    assert stall.fired
    assert scene.visible == {large[0].digest}
    scene.pull([large[1]])
    assert scene.visible == {large[1].digest}
    assert scene.metric("claimed_bytes") == 0
