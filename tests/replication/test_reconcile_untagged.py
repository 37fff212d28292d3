"""Reconcile of manifests that no tag leads to: whoever knows the digest pulls them."""

import pytest

from proxy.replication import comparing
from proxy.replication.work import Kind
from proxy.telemetry.labels import CopyEnd, Finding, RoundEnd
from tests.fills.calls import manifest_path
from tests.replication.copying import REPOSITORY, Told, told
from tests.replication.test_reconcile import copied, pushed
from tests.support.hostile import HostileUpstream, Page
from tests.support.images import Manifest, multi_platform, oci_artifact, oci_image
from tests.support.pushing import pull
from tests.support.store_tree import linked_manifests
from tests.support.waiting import wait_until

MANY = 30


def untagged(replica: Told, upstream: HostileUpstream, name: str) -> Manifest:
    """Let both sides have an image without a tag."""
    image = upstream.contents.add(REPOSITORY, oci_image(name))
    replica.tell(image.digest, kind=Kind.MANIFEST)
    replica.wait_quiet()
    assert image.digest in linked(replica)
    return image


def linked(replica: Told) -> set[str]:
    return linked_manifests(replica.running.store, REPOSITORY)


def forget(upstream: HostileUpstream, *images: Manifest) -> None:
    for image in images:
        upstream.contents.repository(REPOSITORY).forget(image.digest)


def wait_first_answer(replica: Told) -> None:
    wait_until(lambda: any(each.end is CopyEnd.FAILED for each in replica.entries()))


def test_a_deleted_manifest_goes(upstream: HostileUpstream) -> None:
    """C16: a manifest that no tag names, and whose deletion no event told of, can't be pulled by
    its digest any more after two answers some seconds apart; what is there stays.
    """
    with told(upstream.url) as replica:
        pushed(upstream, "v1")
        copied(replica, "v1")
        gone, stays = (untagged(replica, upstream, name) for name in ("gone", "stays"))
        pull(replica.running.client, REPOSITORY, gone.digest).expect(200)
        forget(upstream, gone)
        assert replica.reconcile() is RoundEnd.COMPLETE
        assert replica.findings == {Finding.MANIFEST_GONE: 1}
        wait_first_answer(replica)
        assert gone.digest in linked(replica)
        replica.advance(7)
        replica.wait_quiet()
        assert linked(replica) >= {stays.digest}
        assert gone.digest not in linked(replica)
        pull(replica.running.client, REPOSITORY, gone.digest).expect(404)
        pull(replica.running.client, REPOSITORY, stays.digest).expect(200)


def test_what_a_tag_leads_to_is_not_asked_about(upstream: HostileUpstream) -> None:
    """The images of a tagged index cost no question of their own; a referrer does."""
    index = upstream.contents.add(REPOSITORY, multi_platform("reached"), "v1")
    with told(upstream.url) as replica:
        copied(replica, "v1")
        signature = upstream.contents.add(REPOSITORY, oci_artifact("signature", subject=index))
        replica.tell(signature.digest, kind=Kind.MANIFEST)
        replica.wait_quiet()
        upstream.forget()
        replica.reconcile()
        asked = [seen.path for seen in upstream.seen if "/manifests/" in seen.path]
        paths = [manifest_path(REPOSITORY, each) for each in ("v1", signature.digest)]
        assert asked == paths
        assert replica.findings == {}


def test_a_404_of_something_else_removes_no_manifest(upstream: HostileUpstream) -> None:
    """Settled 11: a page's 404 to the question of a round, and to those after it, is no proof."""
    with told(upstream.url) as replica:
        pushed(upstream, "v1")
        copied(replica, "v1")
        image = untagged(replica, upstream, "stays")
        fault = upstream.inject(Page(404), path=manifest_path(REPOSITORY, image.digest), times=None)
        replica.reconcile()
        wait_first_answer(replica)
        replica.advance(7)
        wait_until(lambda: replica.entries()[-1].attempts > 1)
        assert fault.fired >= 3
        assert image.digest in linked(replica)


def test_many_are_held(upstream: HostileUpstream) -> None:
    """More than 5% of the manifests here, gone at once, are held; tags go all the same."""
    with told(upstream.url) as replica:
        for tag in ("v1", "v2"):
            pushed(upstream, tag)
        copied(replica, "v1", "v2")
        gone = [untagged(replica, upstream, f"held-{number}") for number in range(4)]
        forget(upstream, *gone)
        del upstream.contents.repository(REPOSITORY).tags["v2"]
        assert replica.reconcile() is RoundEnd.HELD
        (line,) = replica.running.events("reconcile.deletions_held")
        assert (line["kind"], line["gone"], line["there"]) == ("manifest_gone", 4, 6)
        assert replica.running.metrics().value("proxima_reconcile_held_deletions") == 4
        wait_first_answer(replica)
        replica.advance(7)
        replica.wait_quiet()
        assert {each.digest for each in gone} <= linked(replica)
        assert replica.tags.keys() == {"v1"}


def test_a_round_asks_about_so_many(
    upstream: HostileUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many manifests without a tag each round asks about the next ones, until all were."""
    monkeypatch.setattr(comparing, "UNTAGGED_A_ROUND", MANY // 3)
    with told(upstream.url) as replica:
        images = [untagged(replica, upstream, f"many-{number}") for number in range(MANY)]
        upstream.forget()
        for count in (1, 2, 3):
            replica.reconcile()
            asked = {seen.path for seen in upstream.seen if "/manifests/" in seen.path}
            assert len(asked) == count * (MANY // 3)
        assert asked == {manifest_path(REPOSITORY, each.digest) for each in images}


def test_a_repository_without_tags_goes(upstream: HostileUpstream) -> None:
    """A repository that had no tag here and is gone at the primary leaves no manifest behind."""
    other = "shop/untagged"
    image = upstream.contents.add(other, oci_image("no tag"))
    with told(upstream.url) as replica:
        pushed(upstream, "v1")
        copied(replica, "v1")
        replica.tell(image.digest, other, kind=Kind.MANIFEST)
        replica.wait_quiet()
        del upstream.contents.repositories[other]
        assert replica.reconcile() is RoundEnd.COMPLETE
        assert replica.findings == {Finding.MANIFEST_GONE: 1}
        wait_first_answer(replica)
        replica.advance(7)
        replica.wait_quiet()
        assert not linked_manifests(replica.running.store, other)
        assert linked(replica)
