"""A store's start and end: one process, leftovers removed, modes, and no thread left."""

import asyncio
import errno
import fcntl
import os
import stat
import threading

import pytest

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.oci.reference import Tag
from proxy.registry import interrupted
from proxy.registry.layout import LinkKind
from proxy.registry.spool import create_spool_file
from proxy.registry.tree import StoreInUse, Tree
from tests.registry_store.ground import A, open_files, spooled

DATA = b"some bytes"
DIGEST = Digest.of(DATA)
LAYER = LinkKind.LAYER
TAG = Tag("1.0")


async def test_a_store_is_used_by_one(tree, heard):
    """A second process on the same store refuses to start, says why, and changes nothing."""
    path, descriptor = create_spool_file(tree.layout.spool, 10)
    os.close(descriptor)
    second = Tree(tree.layout.root, heard.telemetry)
    with pytest.raises(StoreInUse, match=f"another process uses the store {tree.layout.root}"):
        await second.open()
    await second.close()
    assert path.exists(), "the leftover of somebody who is at work"


async def test_the_lock_is_given_back(tmp_path, heard):
    """A store that was closed can be opened, also by the same process, and no descriptor stays."""
    for _ in range(3):
        tree = Tree(tmp_path / "store", heard.telemetry)
        await tree.open()
        await tree.close()
    lock = tmp_path / "store" / "lock"
    descriptor = os.open(lock, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody else has it
    os.close(descriptor)


async def test_an_open_that_fails_gives_the_lock_back(tmp_path, heard, monkeypatch):
    """A store whose spool can't be emptied isn't locked by the attempt."""
    tree = Tree(tmp_path / "store", heard.telemetry)

    def fails(_):
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patched:
        patched.setattr(interrupted, "read_marks", fails)
        with pytest.raises(StoreUnavailable):
            await tree.open()
    await tree.close()
    again = Tree(tmp_path / "store", heard.telemetry)
    await again.open()
    await again.close()


async def test_a_start_empties_the_spool_and_nothing_else(tmp_path, heard):
    """F6: garbage, links and folders in the spool go; the tree and the quarantine stay."""
    tree = Tree(tmp_path / "store", heard.telemetry)
    await tree.open()
    await tree.put_bytes(DIGEST, DATA)
    await tree.put_link(A, LAYER, DIGEST)
    await tree.quarantine(DIGEST, "a test")
    await tree.put_bytes(DIGEST, DATA)
    await tree.close()
    spool = tree.layout.spool
    (spool / "fill-garbage").write_bytes(b"\0" * 100)
    (spool / "fill-link").symlink_to(tree.layout.data(DIGEST))
    (spool / "fill-tree").symlink_to(tree.layout.registry)
    (spool / "fill-folder" / "deep").mkdir(parents=True)
    again = Tree(tmp_path / "store", heard.telemetry)
    await again.open()
    assert spooled(again) == []
    assert again.layout.data(DIGEST).read_bytes() == DATA
    assert await again.has_link(A, LAYER, DIGEST)
    assert len(list(again.layout.quarantine.iterdir())) == 1
    await again.close()


async def test_the_store_keeps_its_own_files_to_itself(tmp_path, heard):
    """Others may read the tree (0755, 0644), the lock is ours alone (0600)."""
    before = os.umask(0o022)
    tree = Tree(tmp_path / "store", heard.telemetry)
    try:
        await tree.open()
        await tree.put_bytes(DIGEST, DATA)
        await tree.put_tag(A, TAG, DIGEST)
        path, descriptor = create_spool_file(tree.layout.spool, 10)
        await tree.commit(path, descriptor, Digest.of(b"not checked here"))
        os.close(descriptor)
    finally:
        os.umask(before)
        await tree.close()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tree.layout.registry.rglob("*")}
    assert modes == {0o755, 0o644}
    assert stat.S_IMODE(tree.layout.lock.stat().st_mode) == 0o600


async def test_no_thread_outlives_the_store(tmp_path, heard):
    """`close` waits for what its threads are doing."""
    tree = Tree(tmp_path / "store", heard.telemetry)
    await tree.open()
    gate = threading.Event()
    work = asyncio.create_task(tree.run(gate.wait, 10))
    await asyncio.sleep(0)
    closing = asyncio.create_task(tree.close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    gate.set()
    await closing
    assert await work is True
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("store")]
    assert open_files(tmp_path) == []
