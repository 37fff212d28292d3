"""Copies: what is told of is here before anybody asks, whole, once, the tag last."""

import pytest

from proxy.replication import completing
from proxy.replication.work import Kind as TargetKind
from proxy.replication.work import Trigger
from proxy.telemetry.labels import CopyEnd
from tests.fills.calls import blob_path, causes, head, manifest_path
from tests.replication.copying import REPOSITORY, told
from tests.support.hostile import Hold, HostileUpstream
from tests.support.images import multi_platform, oci_image
from tests.support.kinds import KINDS, Kind
from tests.support.layers import random_blob, random_layer
from tests.support.pushing import assert_pullable
from tests.support.store_tree import visible_blobs

TAG = "v1"


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_is_here_before_anyone_asks(upstream: HostileUpstream, kind: Kind) -> None:
    """Every kind of content is copied, each part fetched once by one GET; a client's pull then
    costs the proof of its right and nothing else.
    """
    content = upstream.contents.add(REPOSITORY, kind.build("copies"), TAG)
    with told(upstream.url) as replica:
        paths = [manifest_path(REPOSITORY, TAG)]
        paths += [manifest_path(REPOSITORY, each.digest) for each in content.all_manifests()]
        paths.remove(manifest_path(REPOSITORY, content.digest))  # it came with the tag
        paths += [blob_path(REPOSITORY, each.digest) for each in content.all_blobs()]
        before = len(upstream.seen)
        replica.tell(TAG)
        (entry,) = replica.wait_done()
        answered = [seen for seen in upstream.seen[before:] if seen.status == 200]
        asked = sorted(f"{seen.method} {seen.path}" for seen in answered)
        assert asked == sorted(f"GET {path}" for path in paths)
        assert (entry.end, entry.digest) == (CopyEnd.COMPLETE, content.digest)
        assert replica.backlog == {}
        with causes(upstream, head(manifest_path(REPOSITORY, TAG))):
            assert_pullable(replica.running.client, REPOSITORY, content, TAG)


def test_the_tag_comes_last(upstream: HostileUpstream) -> None:
    """While a layer is still on its way the tag names what it named before."""
    old = upstream.contents.add(REPOSITORY, oci_image("old"), TAG)
    with told(upstream.url) as replica:
        replica.tell(TAG)
        replica.wait_done()
        new = upstream.contents.add(REPOSITORY, oci_image("new"), TAG)
        layer = new.blobs[-1].digest
        path = replica.running.store / "docker/registry/v2/repositories" / REPOSITORY
        link = path / "_manifests/tags" / TAG / "current/link"
        held = upstream.inject(Hold(), path=blob_path(REPOSITORY, layer))
        replica.tell(TAG)
        held.wait_fired()
        assert link.read_text() == old.digest
        held.release()
        replica.wait_done(2)
        assert link.read_text() == new.digest


def test_only_wanted_platforms_come(upstream: HostileUpstream) -> None:
    """With `platforms` the others' manifests and layers stay where they are."""
    content = upstream.contents.add(REPOSITORY, multi_platform("platforms"), TAG)
    with told(upstream.url, replication={"platforms": ("linux/arm64",)}) as replica:
        replica.tell(TAG)
        replica.wait_done()
        here = set(visible_blobs(replica.running.store))
    amd64, arm64 = content.children[:2]
    assert {arm64.digest, content.digest} <= here
    assert not {amd64.digest, *(each.digest for each in amd64.blobs)} & here


def test_layers_come_while_the_push_goes_on(upstream: HostileUpstream) -> None:
    """A blob that was told of is here and linked before any manifest names it."""
    layer = upstream.contents.add_blob(REPOSITORY, random_blob(100_000))
    with told(upstream.url) as replica:
        replica.tell(layer.digest, kind=TargetKind.BLOB)
        (entry,) = replica.wait_done()
        assert (entry.what, entry.moved_bytes) == ("blob", 100_000)
        assert layer.digest in visible_blobs(replica.running.store)


def test_bytes_under_another_repository_are_linked(upstream: HostileUpstream) -> None:
    """What is here already crosses no link again: the primary confirms it by a HEAD."""
    image = oci_image("shared", layers=[random_layer(204_800)])
    upstream.contents.add("shop/web", image, TAG)
    upstream.contents.add(REPOSITORY, image, TAG)
    with told(upstream.url) as replica:
        replica.tell(TAG, "shop/web")
        replica.wait_done()
        replica.tell(TAG)
        _, entry = replica.wait_done(2)
        assert entry.moved_bytes == 0
        assert entry.saved_bytes == sum(len(each.data) for each in image.blobs)


def test_what_a_client_pulled_in_part_is_completed(upstream: HostileUpstream) -> None:
    """A client that had some layers leaves an image here in part: the rest of it comes behind, for
    its platform alone.
    """
    content = upstream.contents.add(REPOSITORY, multi_platform("partly"), TAG)
    pulled, other = content.children[:2]
    with told(upstream.url, replication={"repositories": ("nothing",)}) as replica:
        client = replica.running.client
        for reference in (TAG, pulled.digest):
            client.get(manifest_path(REPOSITORY, reference)).expect(200)
        replica.running.thread.run(replica.replication.completing.look())
        assert replica.backlog == {}, "a client is given time to fetch the rest itself"
        replica.running.clock.advance(completing.LOOK_AFTER_SECONDS + 1)
        replica.running.thread.run(replica.replication.completing.look())
        (entry,) = replica.wait_done()
        assert (entry.trigger, entry.digest) == (Trigger.PULL, pulled.digest)
        here = set(visible_blobs(replica.running.store))
        assert {each.digest for each in pulled.blobs} <= here
        assert other.digest not in here
        replica.running.clock.advance(120)
        client.get(manifest_path(REPOSITORY, pulled.digest)).expect(200)
        replica.running.clock.advance(completing.LOOK_AFTER_SECONDS + 1)
        replica.running.thread.run(replica.replication.completing.look())
        assert replica.backlog == {}, "what is whole is left alone"
