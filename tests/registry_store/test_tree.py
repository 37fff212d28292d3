"""The tree on disk: links grant, bytes don't, and damage leaves it."""

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.oci.reference import Repository
from proxy.registry import durable
from proxy.registry import tree as tree_module
from proxy.registry.clock import moment
from proxy.registry.layout import LinkKind
from proxy.registry.spool import create_spool_file
from proxy.registry.tree import Tree
from tests.registry_store.ground import A, B, spooled

DATA = b"some bytes"
DIGEST = Digest.of(DATA)
LAYER, MANIFEST = LinkKind.LAYER, LinkKind.MANIFEST


def link_file(tree: Tree, repository: Repository = A) -> Path:
    return tree.layout.link(repository, LAYER, DIGEST)


# --- links ----------------------------------------------------------------------------------------


async def test_a_link_is_of_one_repository_and_kind(tree):
    """C4: bytes and another repository's link grant nothing."""
    await tree.put_bytes(DIGEST, DATA)
    assert not await tree.has_link(A, LAYER, DIGEST)
    await tree.put_link(B, LAYER, DIGEST)
    assert not await tree.has_link(A, LAYER, DIGEST)
    assert not await tree.has_link(B, MANIFEST, DIGEST)
    assert await tree.has_link(B, LAYER, DIGEST)


async def test_a_link_is_distributions(tree):
    """The file holds the digest and nothing else, not even a line's end."""
    await tree.put_link(A, LAYER, DIGEST)
    assert link_file(tree).read_bytes() == str(DIGEST).encode()


@pytest.mark.parametrize(
    "content",
    [b"", b"sha256:", str(Digest.of(b"other")).encode(), b"\xff" * 71, b"x" * 5000],
    ids=["empty", "cut", "other", "garbage", "long"],
)
async def test_a_link_whose_content_is_not_its_path_is_none(tree, heard, content):
    """Settled 17: such a link counts as absent, is reported, and is written anew when proven."""
    link_file(tree).parent.mkdir(parents=True)
    link_file(tree).write_bytes(content)
    assert not await tree.has_link(A, LAYER, DIGEST)
    assert heard.events("store.bad_link")[0]["digest"] == str(DIGEST)
    await tree.put_link(A, LAYER, DIGEST)
    assert await tree.has_link(A, LAYER, DIGEST)
    assert link_file(tree).read_bytes() == str(DIGEST).encode()


async def test_a_symlink_is_no_link(tree, tmp_path):
    """C4: another repository's link, linked to, grants nothing."""
    await tree.put_link(B, LAYER, DIGEST)
    link_file(tree).parent.mkdir(parents=True)
    link_file(tree).symlink_to(link_file(tree, B))
    assert not await tree.has_link(A, LAYER, DIGEST)
    await tree.drop_link(B, LAYER, DIGEST)
    await tree.put_link(A, LAYER, DIGEST)
    assert not link_file(tree).is_symlink()
    assert not link_file(tree, B).exists()


async def test_a_link_that_cannot_be_read_is_not_absent(tree, monkeypatch, heard):
    """An unreadable link is an outage of the store, counted as such."""

    def fails(*_):
        raise OSError(errno.EIO, "broken")

    await asyncio.to_thread(durable.write_file, link_file(tree), b"", tree.layout.spool)
    monkeypatch.setattr(os, "read", fails)
    with pytest.raises(StoreUnavailable):
        await tree.has_link(A, LAYER, DIGEST)
    assert heard.count("proxima_store_failures_total") == 1


async def test_a_dropped_link_is_gone_at_once_and_on_disk(tree):
    """C16: deletion ends the link in memory and in the tree."""
    await tree.put_link(A, LAYER, DIGEST)
    assert tree.is_link_known(A, LAYER, DIGEST)
    await tree.drop_link(A, LAYER, DIGEST)
    assert not tree.is_link_known(A, LAYER, DIGEST)
    assert not await tree.has_link(A, LAYER, DIGEST)
    await tree.drop_link(A, LAYER, DIGEST)


@pytest.mark.parametrize("resumes", ["before the removal", "after the removal"])
async def test_a_look_that_overlaps_a_deletion_remembers_nothing(tree, monkeypatch, resumes):
    """C16: a link read before it was deleted isn't known after it, however the two interleave."""
    await tree.put_link(A, LAYER, DIGEST)
    tree._known_links.drop((A, LAYER, DIGEST))
    has_read, may_go_on, may_remove = (threading.Event() for _ in range(3))
    read, remove = durable.read_small, durable.remove_file

    def slow_read(*arguments):
        content = read(*arguments)
        has_read.set()
        assert may_go_on.wait(10)
        return content

    def slow_remove(*arguments):
        assert may_remove.wait(10)
        return remove(*arguments)

    monkeypatch.setattr(durable, "read_small", slow_read)
    monkeypatch.setattr(durable, "remove_file", slow_remove)
    look = asyncio.create_task(tree.has_link(A, LAYER, DIGEST))
    assert await asyncio.to_thread(has_read.wait, 10)
    drop = asyncio.create_task(tree.drop_link(A, LAYER, DIGEST))
    await asyncio.sleep(0)
    first, then = (look, drop) if resumes == "before the removal" else (drop, look)
    for task in (first, then):
        (may_go_on if task is look else may_remove).set()
        await task
    monkeypatch.undo()
    assert not tree.is_link_known(A, LAYER, DIGEST)
    assert not await tree.has_link(A, LAYER, DIGEST)


@pytest.mark.parametrize("resumes", ["before the removal", "after the removal"])
async def test_a_link_made_while_it_is_dropped_is_what_the_disk_says(tree, monkeypatch, resumes):
    """C16: memory never knows a link that the disk hasn't got."""
    wrote, may_go_on, may_remove = (threading.Event() for _ in range(3))
    write, remove = durable.write_file, durable.remove_file

    def slow_write(*arguments):
        write(*arguments)
        wrote.set()
        assert may_go_on.wait(10)

    def slow_remove(*arguments):
        assert may_remove.wait(10)
        return remove(*arguments)

    monkeypatch.setattr(durable, "write_file", slow_write)
    monkeypatch.setattr(durable, "remove_file", slow_remove)
    put = asyncio.create_task(tree.put_link(A, LAYER, DIGEST))
    assert await asyncio.to_thread(wrote.wait, 10)
    drop = asyncio.create_task(tree.drop_link(A, LAYER, DIGEST))
    await asyncio.sleep(0)
    first, then = (put, drop) if resumes == "before the removal" else (drop, put)
    for task in (first, then):
        (may_go_on if task is put else may_remove).set()
        await task
    monkeypatch.undo()
    assert not link_file(tree).exists()
    assert not tree.is_link_known(A, LAYER, DIGEST)


# --- bytes ----------------------------------------------------------------------------------------


async def test_a_link_that_a_late_fill_writes_is_never_seen(tree):
    """C4: between a deletion and the end of an older fill the link is absent, file or not."""
    asked_at = moment()
    await tree.drop_link(A, LAYER, DIGEST)
    link_file(tree).parent.mkdir(parents=True)
    link_file(tree).write_text(str(DIGEST))  # as a fill does that was asked for before
    assert not await tree.has_link(A, LAYER, DIGEST)
    await tree.confirm_link(A, LAYER, DIGEST, asked_at)
    assert not await tree.has_link(A, LAYER, DIGEST)
    await tree.confirm_link(A, LAYER, DIGEST, moment())
    assert await tree.has_link(A, LAYER, DIGEST)


async def test_a_commit_names_the_spool_file(tree):
    """The spool file itself becomes the blob: same inode, nothing copied, nothing left."""
    path, descriptor = create_spool_file(tree.layout.spool, len(DATA))
    os.pwrite(descriptor, DATA, 0)
    await tree.commit(path, descriptor, DIGEST)
    assert os.fstat(descriptor).st_ino == tree.layout.data(DIGEST).stat().st_ino
    os.close(descriptor)
    assert tree.layout.data(DIGEST).read_bytes() == DATA
    assert spooled(tree) == []


async def test_a_failed_sync_names_nothing(tree, monkeypatch):
    """C21, F4: a file whose sync failed gets no name, and the sync is not tried again."""
    path, descriptor = create_spool_file(tree.layout.spool, len(DATA))
    calls = []

    def fails(number):
        calls.append(number)
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StoreUnavailable):
        await tree.commit(path, descriptor, DIGEST)
    os.close(descriptor)
    assert calls == [descriptor]
    assert not tree.layout.data(DIGEST).exists()


async def test_quarantine_takes_bytes_out_and_leaves_links(tree, heard):
    """Damaged bytes leave the tree, visibly; the link stays, so that a pull fetches them again."""
    await tree.put_bytes(DIGEST, DATA)
    await tree.put_link(A, LAYER, DIGEST)
    await tree.quarantine(DIGEST, "a test")
    await tree.quarantine(DIGEST, "twice is no error")
    assert not tree.layout.data(DIGEST).exists()
    (aside,) = tree.layout.quarantine.iterdir()
    assert aside.read_bytes() == DATA
    assert await tree.has_link(A, LAYER, DIGEST)
    assert heard.count("proxima_quarantined_total") == 1
    assert heard.events("store.quarantined")[0]["reason"] == "a test"


async def test_the_quarantine_is_bounded(tree, monkeypatch):
    """C30: a disk that rots doesn't fill itself: the latest damage is kept, folders as well."""
    monkeypatch.setattr(tree_module, "MAX_QUARANTINED", 3)
    datas = [b"data %d" % number for number in range(8)]
    for data in datas:
        await tree.put_bytes(Digest.of(data), data)
    tree.layout.data(Digest.of(datas[0])).unlink()
    (tree.layout.data(Digest.of(datas[0])) / "folder").mkdir(parents=True)
    for data in datas:
        await tree.quarantine(Digest.of(data), "a test")
    kept = {path.read_bytes() for path in tree.layout.quarantine.iterdir()}
    assert kept == set(datas[-3:])
