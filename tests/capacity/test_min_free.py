"""The floor of free space, on a small file system that others fill, too."""

import shutil

import pytest

from proxy.registry import capacity
from tests.capacity.scene import BLOB_BYTES, blobs
from tests.faults_disk.mounts import MIB, Filler, small_disk
from tests.support.waiting import wait_until

MIN_FREE = 6 * MIB


@pytest.fixture
def disk(opened):
    return opened(small_disk(16 * MIB))


@pytest.fixture
def scene(start, disk, monkeypatch):
    """A replica without a capacity, that leaves 6 of 16 MiB free and looks often."""
    monkeypatch.setattr(capacity, "LOOK_EVERY_SECONDS", 0.05)
    return start(root=disk / "store", capacity=0, min_free=MIN_FREE)


def _free(disk):
    return shutil.disk_usage(disk).free


def test_pulls_leave_the_floor_free(scene, upstream, disk):
    """T25: pulls of twice what fits all succeed, and the floor is never gone below."""
    lowest = _free(disk)
    for each in blobs(upstream, 2 * 10 * MIB // BLOB_BYTES):
        scene.pull([each])
        lowest = min(lowest, _free(disk))
    assert scene.metric("evicted_contents_total") > 0
    assert MIN_FREE - MIB // 2 <= lowest < MIN_FREE + MIB  # the sidecar is on that disk as well


def test_room_that_others_take_is_given(scene, upstream, disk):
    """C20: where somebody else fills the disk, contents go until the floor is free again; fills
    are kept again then, and hits of what is left are served all the time.
    """
    many = blobs(upstream, 40)
    scene.pull(many)
    filler = Filler(disk)
    filler.fill(leave=MIB)
    assert _free(disk) < 2 * MIB
    scene.upstream.forget()
    for each in many[-3:]:
        assert scene.get(each).body == each.data
    scene.wait_below(40 * BLOB_BYTES - 4 * MIB)
    wait_until(lambda: _free(disk) >= MIN_FREE - MIB, what="room")  # files go after their rows
    new = blobs(upstream, 1, "new")
    scene.pull(new)
    assert new[0].digest in scene.visible


def test_nothing_to_give_passes_through(scene, upstream, disk):
    """C20: where the floor can't be reached, pulls are served uncached, and hits go on."""
    filler = Filler(disk)
    filler.fill(leave=MIB)
    one = blobs(upstream, 1)[0]
    for _ in range(2):
        assert scene.get(one).expect(200).body == one.data
    assert scene.visible == set()
    assert scene.metric("refused_claims") == 2
    filler.free()
    scene.pull([one])
    assert scene.visible == {one.digest}
