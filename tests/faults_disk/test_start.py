"""Starts: one process a store, leftovers removed, nothing walked, whatever end was before."""

import hashlib
import signal

import pytest

from tests.faults_disk.tracing import attached, calls_in
from tests.support.processes import ProgramFailed
from tests.support.replica import replica
from tests.support.store_tree import TREE, visible_blobs

BLOBS = 2000


def test_a_store_is_used_by_one_process(warm, opened):
    """A second replica on the same store refuses to start and says why; the first goes on."""
    store = {"root": warm.replica.store}
    with pytest.raises(ProgramFailed, match="another process uses the store"):
        opened(replica(warm.upstream.url, store=store))
    warm.check_hits()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_store_is_free_when_its_process_has_ended(warm, number):
    """However a replica ends, the next one starts at once on its store and serves what is there."""
    warm.replica.stop(number)
    warm.replica.start()
    warm.check_hits()


def test_leftovers_in_the_spool_go(warm, tmp_path):
    """F6: garbage partials, links and folders are removed at the start, and no link is followed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    warm.replica.kill()
    spool = warm.replica.store / "spool"
    (spool / "fill-0123456789abcdef").write_bytes(b"\0" * 100_000)
    (spool / "small-0123456789abcdef").symlink_to(outside / "kept")
    (spool / "folder").symlink_to(outside)
    (spool / "fill-folder" / "deep").mkdir(parents=True)
    before = warm.visible
    warm.replica.start()
    assert warm.spooled == []
    assert (outside / "kept").read_bytes() == b"kept"
    assert warm.visible == before
    warm.check_hits()


def test_a_start_walks_no_tree(driver, fast_folder, tmp_path):
    """F1: a start reads no folder of the tree, however much is in it."""
    root, log = fast_folder / "store", tmp_path / "trace.log"
    assert driver.do("fill", root) == 0
    for number in range(BLOBS):
        name = hashlib.sha256(b"%d" % number).hexdigest()
        folder = root / TREE / "blobs" / "sha256" / name[:2] / name
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(b"not looked at")
    pid = driver.begin("start", root, inline=False)
    with attached(pid, log, "-e", "trace=openat,getdents64,newfstatat,statx"):
        assert driver.go() == 0
    calls = calls_in(log)
    assert len(visible_blobs(root)) > BLOBS
    listed = [call.file for call in calls if call.name == "getdents64"]
    assert listed, "not even the spool was listed"
    assert [file for file in listed if file.startswith(str(root / TREE))] == []
    looked_at = [call for call in calls if f"{TREE}/blobs/" in call.arguments]
    assert looked_at == []
