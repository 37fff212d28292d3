"""C20, F3: a replica whose disk is full, on a small file system that really is."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.faults_disk.mounts import MIB, Filler, small_disk
from tests.faults_disk.scene import REPOSITORY, Scene, blob_path, manifest_path
from tests.support.hostile import BLOBS, Stall, WrongByte
from tests.support.images import oci_image
from tests.support.layers import random_blob
from tests.support.pushing import push_blob
from tests.support.raw_http import RawConnection, raw_connection, request_bytes
from tests.support.replica import replica
from tests.support.waiting import wait_until

MAX_UNCACHED = 2


@pytest.fixture
def disk(opened):
    return opened(small_disk(8 * MIB))


@pytest.fixture
def filler(disk):
    return Filler(disk)


@pytest.fixture
def scene(upstream, disk, opened):
    """A replica with something warm on a small disk that still has room."""
    fill = {"max_uncached": MAX_UNCACHED}
    store = {"root": disk / "store"}
    running = opened(replica(upstream.url, store=store, fill=fill, tags={"ttl": "0s"}))
    scene = Scene(running, upstream)
    scene.warm_up()
    yield scene
    assert running.process.is_running, "the process ended"


def test_hits_go_on_while_the_disk_is_full(scene, filler):
    """C20: every hit is served, tags that are checked at each pull included, and stays so after a
    restart on the full disk.
    """
    filler.fill()
    fetched = scene.upstream.count("GET", BLOBS)
    for _ in range(10):
        scene.check_hits()
    scene.replica.restart()
    scene.check_hits()
    assert scene.upstream.count("GET", BLOBS) == fetched


def test_misses_pass_through_and_the_store_recovers(scene, filler):
    """C20: misses reach the client whole and leave nothing; it is counted and logged; with room
    again the next pull is kept.
    """
    image = scene.upstream.contents.add(REPOSITORY, oci_image("cold"), "2.0")
    filler.fill()
    before = scene.visible
    for _ in range(3):
        scene.pull(scene.cold)
        reply = scene.client.get(manifest_path("2.0")).expect(200)
        assert reply.body == image.data
    assert scene.visible == before
    assert scene.spooled == []
    assert scene.metric("fills_total", end="uncached") >= 3
    assert scene.metric("store_failures_total") >= 3
    assert "No space left" in scene.replica.wait_event("store.failed")["error"]
    assert scene.replica.get_ops("/readyz").status == 200
    filler.free()
    scene.pull_until_kept(scene.cold)
    assert scene.client.get(manifest_path(image.digest)).expect(200).body == image.data
    wait_until(lambda: image.digest in scene.visible, what="the manifest is kept")


def test_a_nearly_full_disk_keeps_nothing_half(scene, filler):
    """C1, C20: whatever room is left, a blob or a manifest is kept whole or not at all."""
    layers = [f"{number}".encode() * 900 for number in range(40)]
    annotations = {f"key-{number}": text.decode() for number, text in enumerate(layers)}
    for leave in (4096, 40_960, 65_536, 2 * MIB):
        image = oci_image(f"long-{leave}", annotations=annotations)
        assert len(image.data) > 40_960
        scene.upstream.contents.add(REPOSITORY, image, "long")
        filler.free()
        filler.fill(leave)
        for _ in range(2):
            scene.pull(scene.cold)
            assert scene.client.get(manifest_path("long")).expect(200).body == image.data
        assert scene.cold.digest not in scene.visible
        scene.check_hits()


def test_what_passes_through_is_verified(scene, filler):
    """C1, C20: a wrong byte never makes a complete answer, also where nothing is kept."""
    filler.fill()
    for at in (0, 1_500_000, -1):
        blob = scene.upstream.contents.add_blob(REPOSITORY, random_blob(3_000_000, f"wrong-{at}"))
        fault = scene.upstream.inject(WrongByte(at), method="GET", path=blob_path(blob), times=None)
        reply = scene.raw(blob)
        assert fault.fired
        assert not (reply.status == 200 and reply.is_complete)
        assert blob.digest not in scene.visible


def test_what_passes_through_is_bounded(scene, filler):
    """C20: beyond `max_uncached` a miss gets 503 with Retry-After, and hits go on; each place is
    given back, also by clients that leave or whose copy is current.
    """
    filler.fill()
    address = scene.replica.address
    request = request_bytes("GET", blob_path(scene.cold), address)
    current = {"If-None-Match": f'"{scene.cold.digest}"'}
    for _ in range(MAX_UNCACHED + 1):
        scene.client.get(blob_path(scene.cold), current).expect(304)
        with raw_connection(address) as leaving:
            leaving.send(request)
            assert leaving.read(1000)
            leaving.reset()
    other = scene.upstream.contents.add_blob(REPOSITORY, random_blob(2_500_000, "other"))
    stall = scene.upstream.inject(
        Stall(2_000_000), method="GET", path=blob_path(scene.cold), times=None
    )
    with ExitStack() as stack:
        pulls = [stack.enter_context(passing(scene)) for _ in range(MAX_UNCACHED)]
        refused = scene.get(other)
        assert refused.status == 503
        assert int(refused.header("Retry-After")) > 0
        scene.check_hits()
        assert stall.fired
        stall.release()
        bodies = [rest_of(pull) for pull in pulls]
    assert [body == scene.cold.data for body in bodies] == [True] * MAX_UNCACHED
    wait_until(lambda: scene.get(other).status == 200, what="places are free")


@contextmanager
def passing(scene) -> Iterator[RawConnection]:
    """Begin a pull that passes through: its answer has begun, so it has a place."""
    address = scene.replica.address
    request = request_bytes("GET", blob_path(scene.cold), address, ("Connection", "close"))
    with ExitStack() as stack:

        def begun() -> RawConnection | None:
            connection = stack.enter_context(raw_connection(address))
            connection.send(request)
            status = connection.read(len(b"HTTP/1.1 200"))
            return connection if status.endswith(b"200") else None  # others leave their places yet

        yield wait_until(begun, what="a place is free")


def rest_of(connection: RawConnection) -> bytes:
    """Read the body of an answer to the end of its connection."""
    data = b"".join(iter(lambda: connection.read(1 << 20), b""))
    return data.partition(b"\r\n\r\n")[2]


def test_a_push_passes_a_full_disk(scene, filler):
    """C20: a push succeeds though no copy of it can be kept."""
    filler.fill()
    blob = random_blob(1_000_000, "pushed")
    push_blob(scene.client, REPOSITORY, blob)
    assert scene.upstream.contents.repository(REPOSITORY).blobs[blob.digest] == blob.data
    scene.pull(blob)
    assert scene.spooled == []
