"""The tree on disk: links, bytes, tags, the lock, and what a start does and leaves alone."""

import asyncio
import errno
import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.oci.reference import Repository, Tag
from proxy.registry import durable
from proxy.registry import tree as tree_module
from proxy.registry.layout import LinkKind
from proxy.registry.spool import create_spool_file
from proxy.registry.tree import MAX_TAG_HISTORY, StoreInUse, Tree
from tests.registry_store.ground import A, B, open_files, spooled

DATA = b"some bytes"
DIGEST = Digest.of(DATA)
LAYER, MANIFEST = LinkKind.LAYER, LinkKind.MANIFEST
TAG = Tag("1.0")


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


# --- tags -----------------------------------------------------------------------------------------


def index_of(tree: Tree) -> set[str]:
    return {
        f"sha256:{link.parent.name}"
        for link in (tree.layout.tag(A, TAG) / "index").glob("sha256/*/link")
    }


async def test_a_tag_names_a_digest_and_remembers_others(tree):
    """`current` and `index` are as Distribution writes them."""
    first, second = Digest.of(b"1"), Digest.of(b"2")
    assert await tree.tag(A, TAG) is None
    for digest in (first, second):
        await tree.put_tag(A, TAG, digest)
        assert await tree.tag(A, TAG) == digest
    assert tree.layout.tag_current(A, TAG).read_bytes() == str(second).encode()
    assert index_of(tree) == {str(first), str(second)}
    assert await tree.tag(B, TAG) is None


async def test_a_tags_history_is_trimmed(tree):
    """The last ten digests stay, the current one whatever its age, and no empty folders."""
    digests = [Digest.of(bytes([number])) for number in range(15)]
    for age, digest in enumerate(digests):
        await tree.put_tag(A, TAG, digest)
        os.utime(tree.layout.tag_index(A, TAG, digest), (age, age))
    assert index_of(tree) == {str(digest) for digest in digests[-MAX_TAG_HISTORY:]}
    await tree.put_tag(A, TAG, digests[0])
    assert str(digests[0]) in index_of(tree)
    assert len(index_of(tree)) == MAX_TAG_HISTORY
    assert len(list((tree.layout.tag(A, TAG) / "index" / "sha256").iterdir())) == MAX_TAG_HISTORY


async def test_dropping_a_tag_leaves_nothing_of_it(tree):
    """C16: the tag, its history and its folder go; its neighbours and the manifest link stay."""
    for tag in (TAG, Tag("1.0.1")):
        await tree.put_tag(A, tag, DIGEST)
    await tree.put_link(A, MANIFEST, DIGEST)
    for _ in range(2):
        await tree.drop_tag(A, TAG)
        assert await tree.tag(A, TAG) is None
    assert [each.name for each in tree.layout.tags(A).iterdir()] == ["1.0.1"]
    assert await tree.has_link(A, MANIFEST, DIGEST)


async def test_a_tag_leaves_the_tree_at_once(tree, monkeypatch):
    """C2, C16: a tag that can't be removed whole is gone from the tree all the same."""
    await tree.put_tag(A, TAG, DIGEST)

    def fails(_):
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patched:
        patched.setattr(durable, "remove_whatever", fails)
        with pytest.raises(StoreUnavailable):
            await tree.drop_tag(A, TAG)
    assert not tree.layout.tag(A, TAG).exists()
    assert len(spooled(tree)) == 1, "the next start removes it"


async def test_dropping_a_linked_tag_follows_no_link(tree, tmp_path):
    """F6: a link in a tag's place goes, what it leads to stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    tree.layout.tags(A).mkdir(parents=True)
    tree.layout.tag(A, TAG).symlink_to(outside)
    await tree.drop_tag(A, TAG)
    assert not tree.layout.tag(A, TAG).is_symlink()
    assert (outside / "kept").read_bytes() == b"kept"


async def test_tags_of_a_digest_are_found(tree):
    """The tags that name a digest now, not those that did."""
    other = Digest.of(b"other")
    for tag, digest in (("a", DIGEST), ("b", other), ("c", DIGEST), ("d", DIGEST)):
        await tree.put_tag(A, Tag(tag), digest)
    await tree.put_tag(A, Tag("d"), other)
    assert sorted(await tree.tags_of(A, DIGEST)) == ["a", "c"]
    assert await tree.tags_of(B, DIGEST) == []


@pytest.mark.parametrize("content", [b"", b"garbage", b"sha256:" + b"0" * 63])
async def test_a_tag_that_names_no_digest_is_absent(tree, heard, content):
    """What can't be read as a digest is reported and asked for again."""
    await tree.put_tag(A, TAG, DIGEST)
    tree.layout.tag_current(A, TAG).write_bytes(content)
    assert await tree.tag(A, TAG) is None
    assert heard.events("store.bad_tag")[0]["tag"] == TAG


# --- start and end --------------------------------------------------------------------------------


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
        patched.setattr(durable, "empty_folder", fails)
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
