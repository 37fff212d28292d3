"""What is gone at the primary goes here, and nothing goes that only looks like that."""

from pathlib import Path

import pytest

from proxy.replication.work import Kind as TargetKind
from proxy.replication.work import Trigger
from proxy.telemetry.labels import CopyEnd
from tests.fills.conftest import store
from tests.replication.copying import REPOSITORY, Told, told
from tests.support.hostile import HostileUpstream, Page, Status
from tests.support.images import Manifest, oci_image
from tests.support.store_tree import linked_blobs, linked_manifests, tags
from tests.support.waiting import wait_until

__all__ = ["store"]

TAG = "v1"


@pytest.fixture
def image(upstream: HostileUpstream) -> Manifest:
    return upstream.contents.add(REPOSITORY, oci_image("removed"), TAG)


def copied(replica: Told) -> None:
    replica.tell(TAG)
    replica.wait_done()
    assert named(replica)


def named(replica: Told) -> dict[str, str]:
    """Give the tags that are here, with their digests."""
    return tags(replica.running.store, REPOSITORY)


def test_a_deleted_tag_goes_at_once(upstream: HostileUpstream, image: Manifest) -> None:
    """A tag that was said to be deleted goes with the primary's first 404."""
    with told(upstream.url) as replica:
        copied(replica)
        del upstream.contents.repository(REPOSITORY).tags[TAG]
        replica.tell(TAG, is_deletion=True)
        _, entry = replica.wait_done(2)
        assert (entry.what, entry.end) == ("deletion", CopyEnd.COMPLETE)
        assert not named(replica)


def test_a_tag_that_is_there_again_stays(upstream: HostileUpstream, image: Manifest) -> None:
    """A deletion that is out of date removes nothing: the primary is asked, and has the tag."""
    with told(upstream.url) as replica:
        copied(replica)
        replica.tell(TAG, is_deletion=True)
        _, entry = replica.wait_done(2)
        assert (entry.what, entry.end) == ("image", CopyEnd.COMPLETE)
        assert named(replica)


def test_without_a_deletion_it_takes_two_answers(
    upstream: HostileUpstream, image: Manifest
) -> None:
    """C16: a tag that is just not there is looked at again seconds later, and goes then."""
    with told(upstream.url) as replica:
        copied(replica)
        del upstream.contents.repository(REPOSITORY).tags[TAG]
        replica.tell(TAG, trigger=Trigger.RECONCILE)
        _, entry = replica.wait_done(2)
        assert entry.end is CopyEnd.FAILED
        assert named(replica)
        replica.running.clock.advance(7)
        replica.tell(TAG, trigger=Trigger.RECONCILE)
        *_, entry = replica.wait_done(3)
        assert (entry.what, entry.end) == ("deletion", CopyEnd.COMPLETE)
        assert not named(replica)


@pytest.mark.parametrize("kind", [TargetKind.TAG, TargetKind.MANIFEST, TargetKind.REPOSITORY])
def test_a_404_of_something_else_removes_nothing(
    upstream: HostileUpstream, image: Manifest, kind: TargetKind
) -> None:
    """A 404 without the spec's words (a default backend's) is no proof, deletion or not."""
    reference = {TargetKind.TAG: TAG, TargetKind.MANIFEST: image.digest}.get(kind)
    with told(upstream.url) as replica:
        copied(replica)
        fault = upstream.inject(Page(404), times=None)
        replica.tell(reference, kind=kind, is_deletion=True)
        _, entry = replica.wait_done(2)
        assert fault.fired
        assert entry.end is CopyEnd.FAILED
        assert named(replica)
        assert replica.backlog == {Trigger.EVENT: 1}


def test_a_deleted_manifest_takes_its_tags_along(
    upstream: HostileUpstream, image: Manifest
) -> None:
    """A deleted manifest's link and all tags that name it go."""
    with told(upstream.url) as replica:
        copied(replica)
        upstream.contents.repository(REPOSITORY).forget(image.digest)
        replica.tell(image.digest, kind=TargetKind.MANIFEST, is_deletion=True)
        replica.wait_done(2)
        assert not linked_manifests(replica.running.store, REPOSITORY)
        assert not named(replica)


def test_a_deleted_repository_is_forgotten(upstream: HostileUpstream, image: Manifest) -> None:
    """A repository that the primary doesn't know any more, asked twice, has no link left here."""
    with told(upstream.url) as replica:
        copied(replica)
        del upstream.contents.repositories[REPOSITORY]
        replica.tell(None, kind=TargetKind.REPOSITORY, is_deletion=True)
        replica.wait_done(2)
        assert named(replica), "one answer is too few for all of a repository"
        replica.running.clock.advance(6)
        replica.running.thread.run(_woken(replica))
        wait_until(lambda: replica.backlog == {}, what="done")
        store = replica.running.store
        assert not named(replica)
        assert not linked_manifests(store, REPOSITORY) | linked_blobs(store, REPOSITORY)


@pytest.mark.parametrize("kind", [TargetKind.TAG, TargetKind.MANIFEST])
def test_a_deletion_takes_a_right(
    upstream: HostileUpstream, image: Manifest, store: Path, kind: TargetKind
) -> None:
    """Settled 11: a deletion event and a 404 in a registry's words remove nothing where the primary
    never let us read the repository in this life; once it does they do.
    """
    reference = {TargetKind.TAG: TAG, TargetKind.MANIFEST: image.digest}[kind]
    with told(upstream.url, root=store) as replica:
        copied(replica)
    with told(upstream.url, root=store) as replica:
        hidden = upstream.inject(Status(404, "NAME_UNKNOWN"), times=None)
        replica.tell(reference, kind=kind, is_deletion=True)
        wait_until(lambda: replica.entries()[-1].end is CopyEnd.FAILED)
        assert hidden.fired >= 2
        assert named(replica)
        upstream.heal()
        upstream.contents.repository(REPOSITORY).forget(image.digest)
        replica.advance(60)
        wait_until(lambda: not named(replica), what="gone")


def test_the_last_tag_takes_its_repository_along(
    upstream: HostileUpstream, image: Manifest
) -> None:
    """A registry that knows a repository no more once its last tag is gone is believed, where it
    let us read it before.
    """
    with told(upstream.url) as replica:
        copied(replica)
        replica.running.clock.advance(3600)
        del upstream.contents.repositories[REPOSITORY]
        replica.tell(TAG, is_deletion=True)
        replica.wait_done(2)
        assert not named(replica)


async def _woken(replica: Told) -> None:
    replica.replication.journal.has_news.set()
