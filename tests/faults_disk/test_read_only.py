"""C20: a replica whose store turns read-only goes on: hits from it, everything else past it."""

from tests.faults_disk.mounts import read_only
from tests.faults_disk.scene import REPOSITORY, manifest_path
from tests.faults_disk.tracing import attached, calls_in, injection
from tests.support.images import oci_image
from tests.support.layers import random_blob
from tests.support.pushing import push_blob
from tests.support.store_tree import blob_path, wrong_blobs
from tests.support.waiting import wait_until


def check_goes_on(scene) -> None:
    """Hits, misses, tags that move and pushes: all of it works, nothing is kept."""
    before = scene.visible
    for _ in range(3):
        scene.check_hits()
        scene.pull(scene.cold)
    moved = scene.upstream.contents.add(REPOSITORY, oci_image("moved"), "1.0")
    assert scene.client.get(manifest_path("1.0")).expect(200).body == moved.data
    scene.upstream.contents.add(REPOSITORY, scene.image, "1.0")
    pushed = random_blob(200_000, "pushed")
    push_blob(scene.client, REPOSITORY, pushed)
    assert pushed.digest in scene.upstream.contents.repository(REPOSITORY).blobs
    assert scene.visible == before
    assert scene.spooled == []
    assert scene.replica.get_ops("/readyz").status == 200


def test_a_read_only_store_is_passed_by(warm):
    """C20: with the file system read-only hits are served and misses streamed; afterwards misses
    are kept again.
    """
    with read_only(warm.replica.store):
        check_goes_on(warm)
        errors = warm.replica.events("store.failed")
        assert any("Read-only" in each["error"] for each in errors)
    assert warm.metric("fills_total", end="uncached") >= 3
    warm.pull_until_kept(warm.cold)


def test_a_disk_that_refuses_every_write_is_passed_by(warm, tmp_path):
    """C20: the same with EROFS from the calls themselves: the first one makes the store read-only,
    and no other content is written after it.
    """
    log = tmp_path / "trace.log"
    calls = ("mkdir", "rename", "fallocate", "pwrite64", "ftruncate", "fsync", "fdatasync")
    with attached(warm.replica.process.pid, log, *injection(calls, "error=EROFS")):
        check_goes_on(warm)
        warm.replica.wait_event("store.read_only")
    refused = [call.name for call in calls_in(log) if call.is_injected]
    assert refused.count("fallocate") == 1
    warm.pull_until_kept(warm.cold)


def test_damage_in_a_read_only_store_is_passed_by(warm):
    """C20, C21: damage that can't be set aside is never a complete wrong answer; the blob comes
    from the primary then, within the same request, and is mended once the store can be written.
    """
    for blob in (warm.small, warm.large):
        path = blob_path(warm.replica.store, blob.digest)
        path.write_bytes(blob.data[:-1] + b"!")
    warm.replica.restart()
    with read_only(warm.replica.store):
        for _ in range(3):
            for blob in (warm.small, warm.large):
                assert warm.check_never_wrong(blob).body == blob.data
    for blob in (warm.small, warm.large):
        warm.check_never_wrong(blob)
    wait_until(lambda: not wrong_blobs(warm.replica.store), what="set aside")
    for blob in (warm.small, warm.large):
        warm.pull_until_kept(blob)
