"""Tags in the tree: as Distribution writes them, gone at once when they go."""

import errno
import os

import pytest

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.oci.reference import Tag
from proxy.registry import durable
from proxy.registry.layout import LinkKind
from proxy.registry.tree import MAX_TAG_HISTORY, Tree
from tests.registry_store.ground import A, B, spooled

DIGEST = Digest.of(b"some bytes")
MANIFEST = LinkKind.MANIFEST
TAG = Tag("1.0")


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
