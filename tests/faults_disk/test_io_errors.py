"""C21: single calls of the disk fail, on their way in and on their way out."""

import os
from pathlib import Path

import pytest

from tests.faults_disk.tracing import attached, calls_in, injection
from tests.support.layers import random_blob
from tests.support.store_tree import blob_path
from tests.support.waiting import wait_until

MIB = 1 << 20


@pytest.fixture
def log(tmp_path) -> Path:
    return tmp_path / "trace.log"


# --- in -------------------------------------------------------------------------------------------


def test_a_failed_sync_discards_the_fill(warm, log):
    """C21, F4: after fsync failed once the fill is given up, that file is never synced again, and
    the client has its verified bytes; the next pull, on a disk that works, is kept.
    """
    with attached(warm.replica.process.pid, log, *injection(["fsync"], "error=EIO")):
        warm.pull(warm.cold)
        warm.replica.wait_event("fill.uncached", digest=warm.cold.digest)
    syncs = [call.file for call in calls_in(log) if "/spool/fill-" in call.file]
    assert len(syncs) == 1
    assert all(call.is_injected for call in calls_in(log) if call.name == "fsync")
    assert warm.cold.digest not in warm.visible
    assert warm.spooled == []
    warm.pull_until_kept(warm.cold)


def test_a_failed_write_back_discards_the_fill(warm, log):
    """C21, F4: the same for the sync of what has arrived so far: the client gets verified bytes or
    an abort, and nothing is kept of it.
    """
    blob = warm.upstream.contents.add_blob("app", random_blob(48 * MIB, "huge"))
    with attached(warm.replica.process.pid, log, *injection(["fdatasync"], "error=EIO")):
        warm.check_never_wrong(blob)
        warm.replica.wait_event("fill.uncached", digest=blob.digest)
    syncs = [call.file for call in calls_in(log) if "/spool/fill-" in call.file]
    assert len(syncs) == 1
    assert blob.digest not in warm.visible
    assert warm.spooled == []
    warm.pull_until_kept(blob)


STEPS = [
    (call, error)
    for call in ("pwrite64", "fallocate", "rename", "mkdir")
    for error in ("EIO", "ENOSPC")
]


def test_a_failed_step_discards_the_fill(warm, log):
    """C20, C21: whichever call fails, no wrong answer is complete, nothing half is kept, and the
    next pull is.
    """
    for call, error in STEPS:
        blob = warm.upstream.contents.add_blob("app", random_blob(400_000, call + error))
        traced = log.with_suffix(f".{call}-{error}")
        with attached(warm.replica.process.pid, traced, *injection([call], f"error={error}")):
            warm.check_never_wrong(blob)
            warm.check_hits()
            wait_until(lambda: warm.metric("flights") == 0, what="the fill has ended")
        assert any(each.is_injected for each in calls_in(traced)), (call, error)
        assert blob.digest not in warm.visible
        assert warm.spooled == []
        warm.pull_until_kept(blob)


# --- out ------------------------------------------------------------------------------------------


UNREADABLE = [
    (call, error, size)
    for call, error in (("openat", "EIO"), ("openat", "EACCES"), ("pread64", "EIO"))
    for size in (20_000, 300_000, 5_000_000)
]


def test_a_blob_that_cannot_be_read_is_fetched_again(warm, log):
    """C21, F5: EIO or a changed mode never makes a complete wrong answer; the blob is set aside
    and fetched again, within the same request where nothing of it was sent yet.
    """
    blobs = [random_blob(size, f"{call}-{error}") for call, error, size in UNREADABLE]
    for blob in blobs:
        warm.pull_until_kept(warm.upstream.contents.add_blob("app", blob))
    warm.replica.restart()
    for (call, error, size), blob in zip(UNREADABLE, blobs, strict=True):
        path = blob_path(warm.replica.store, blob.digest)
        traced = log.with_suffix(f".{call}-{error}-{size}")
        options = ("-P", str(path), *injection([call], f"error={error}"))
        with attached(warm.replica.process.pid, traced, *options):
            reply = warm.check_never_wrong(blob)
            warm.replica.wait_event("store.quarantined", digest=blob.digest)
        assert any(each.is_injected for each in calls_in(traced))
        assert reply.body == blob.data
        warm.pull_until_kept(blob)
        assert warm.fetched(blob) == 2
    assert warm.metric("quarantined_total") == len(blobs)


def test_a_blob_that_sendfile_cannot_read_is_fetched_again(warm, log):
    """C21, F5: a blob that was hashed before, and whose sendfile fails in its middle, is set aside
    and fetched again, and the same answer goes on with it.
    """
    blob = warm.large
    path = blob_path(warm.replica.store, blob.digest)
    before = warm.fetched(blob)
    later = ("-e", "inject=sendfile:error=EIO:when=2")
    options = ("-P", str(path), *injection(["sendfile", "pread64"], "error=EIO"), *later)
    with attached(warm.replica.process.pid, log, *options):
        reply = warm.check_never_wrong(blob)
        assert reply.body == blob.data
        warm.replica.wait_event("store.quarantined", digest=blob.digest)
    calls = calls_in(log)
    assert {each.name for each in calls if each.is_injected} == {"sendfile", "pread64"}
    assert not calls[0].has_failed
    warm.pull_until_kept(blob)
    assert warm.fetched(blob) == before + 1


def test_hashed_once_then_sent_by_sendfile(warm, log):
    """C21, settled 20: after a start the first whole serve reads and hashes, later ones don't."""
    blob, path = warm.large, blob_path(warm.replica.store, warm.large.digest)
    warm.replica.restart()
    counts = []
    for number in range(3):
        traced = log.with_suffix(f".{number}")
        options = ("-P", str(path), "-e", "trace=pread64,sendfile")
        with attached(warm.replica.process.pid, traced, *options):
            warm.pull(blob)
        names = [call.name for call in calls_in(traced)]
        counts.append((names.count("pread64") > 0, names.count("sendfile") > 0))
    assert counts == [(True, True), (False, True), (False, True)]


# --- rot ------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def put_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


DAMAGES = {
    "flipped": flip,
    "truncated": lambda path: os.truncate(path, path.stat().st_size - 1),
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "folder": put_folder,
    "symlink": put_link,
    "gone": Path.unlink,
}


def test_rot_is_never_served_and_mended(warm):
    """C21, F5: whatever became of blobs while the replica was down, no answer is wrong and
    complete, each is fetched once more, within the request that found the damage.
    """
    contents = warm.upstream.contents
    blobs = {
        (damage, size): contents.add_blob("app", random_blob(size, damage))
        for damage in DAMAGES
        for size in (20_000, 300_000)
    }
    for blob in blobs.values():
        warm.pull_until_kept(blob)
    warm.replica.stop()
    for (damage, _), blob in blobs.items():
        DAMAGES[damage](blob_path(warm.replica.store, blob.digest))
    warm.replica.start()
    for blob in blobs.values():
        assert warm.check_never_wrong(blob).body == blob.data
    for blob in blobs.values():
        warm.pull_until_kept(blob)
        assert warm.fetched(blob) == 2
    assert warm.metric("quarantined_total") == len(blobs) - 2
    warm.check_hits()
