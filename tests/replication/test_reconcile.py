"""Reconcile: what no event told of is found and mended, and nothing else is touched."""

import pytest

from config import Duration
from proxy.oci.digest import Digest
from proxy.registry.order import Entry, Rank, key_of
from proxy.replication.work import Kind, Trigger
from proxy.telemetry.labels import CopyEnd, Finding, RoundEnd
from tests.fills.calls import manifest_path
from tests.replication.copying import REPOSITORY, Told, told
from tests.support.hostile import MANIFESTS, TAGS, Hold, HostileUpstream, OtherBody
from tests.support.images import Manifest, oci_image, sparse_index
from tests.support.pushing import pull
from tests.support.store_tree import linked_manifests, visible_blobs
from tests.support.waiting import wait_until

CATALOGUE = "/v2/_catalog"


def pushed(upstream: HostileUpstream, tag: str, seed: str = "", repository: str = "") -> Manifest:
    """Put an image at the primary, without a word to anybody."""
    name = repository or REPOSITORY
    return upstream.contents.add(name, oci_image(seed or f"{name.replace('/', '-')}-{tag}"), tag)


def copied(replica: Told, *tags: str) -> None:
    """Let the replica have some tags, by events."""
    for tag in tags:
        replica.tell(tag)
    wait_until(lambda: set(tags) <= replica.tags.keys() and not replica.backlog)


def deleted(upstream: HostileUpstream, tag: str) -> None:
    del upstream.contents.repository(REPOSITORY).tags[tag]


def test_a_moved_tag_is_found(upstream: HostileUpstream) -> None:
    """C17: a retag that no event told of is brought, the new image before the tag."""
    pushed(upstream, "v1", "old")
    with told(upstream.url) as replica:
        copied(replica, "v1")
        new = pushed(upstream, "v1", "new")
        assert replica.reconcile() is RoundEnd.COMPLETE
        replica.wait_quiet()
        assert replica.findings == {Finding.CHANGED: 1}
        assert replica.tags == {"v1": new.digest}
        assert {each.digest for each in new.blobs} <= visible_blobs(replica.running.store).keys()
        (line,) = replica.running.events("reconcile.found")
        assert (line["kind"], line["repository"], line["tag"]) == ("changed", REPOSITORY, "v1")
        (ended,) = replica.running.events("reconcile.ended")
        assert (ended["end"], ended["tags"], ended["changed"]) == ("complete", 1, 1)


def test_a_tag_that_is_the_same_is_checked(upstream: HostileUpstream) -> None:
    """A conditional HEAD that confirms a tag renews its check, and fetches nothing."""
    image = pushed(upstream, "v1")
    with told(upstream.url) as replica:
        copied(replica, "v1")
        replica.advance(1000)
        upstream.forget()
        replica.reconcile()
        (asked,) = upstream.requests(path=MANIFESTS)
        assert (asked.method, asked.status) == ("HEAD", 304)
        assert asked.fields.get("If-None-Match") == f'"{image.digest}"'
        assert replica.findings == {}
        upstream.forget()
        assert pull(replica.running.client, REPOSITORY, "v1").status == 200
        heads = upstream.requests("HEAD", MANIFESTS)
        assert len(heads) == 1, "the client's right is proven, its tag isn't asked about"


def test_a_tag_that_is_new_is_brought(upstream: HostileUpstream) -> None:
    """A tag that was pushed after the first comparison, and of which no event told, is copied; what
    was there before stays out where `backfill` is "none".
    """
    pushed(upstream, "before")
    with told(upstream.url) as replica:
        replica.reconcile()
        new = pushed(upstream, "after")
        replica.reconcile()
        replica.wait_quiet()
        assert replica.tags == {"after": new.digest}
        assert replica.findings == {Finding.MISSING: 1}


def test_a_new_repository_is_brought(upstream: HostileUpstream) -> None:
    """All of a repository that the catalogue hadn't before is missing here."""
    with told(upstream.url) as replica:
        replica.reconcile()
        images = {tag: pushed(upstream, tag).digest for tag in ("v1", "v2")}
        replica.reconcile()
        replica.wait_quiet()
        assert replica.tags == images


def test_out_of_scope_nothing_is_missing(upstream: HostileUpstream) -> None:
    """Tags and repositories that aren't replicated are not brought."""
    with told(upstream.url, replication={"tags": ("v*",), "repositories": ("shop/*",)}) as replica:
        replica.reconcile()
        pushed(upstream, "v1")
        pushed(upstream, "nightly")
        pushed(upstream, "v1", repository="other/app")
        replica.reconcile()
        replica.wait_quiet()
        assert replica.findings == {Finding.MISSING: 1}
        assert replica.tags.keys() == {"v1"}


def test_a_deleted_tag_goes(upstream: HostileUpstream) -> None:
    """C17: a tag that was deleted without an event goes after two answers some seconds apart."""
    for tag in ("v1", "v2"):
        pushed(upstream, tag)
    with told(upstream.url) as replica:
        copied(replica, "v1", "v2")
        deleted(upstream, "v1")
        assert replica.reconcile() is RoundEnd.COMPLETE
        wait_until(lambda: any(each.end is CopyEnd.FAILED for each in replica.entries()))
        assert replica.tags.keys() == {"v1", "v2"}
        replica.advance(7)
        replica.wait_quiet()
        assert replica.tags.keys() == {"v2"}
        assert replica.findings == {Finding.GONE: 1}


def test_a_deleted_repository_goes(upstream: HostileUpstream) -> None:
    """A repository that neither catalogue nor list knows any more goes, links and all."""
    pushed(upstream, "v1", repository="shop/gone")
    for number in range(20):
        pushed(upstream, f"v{number}")
    with told(upstream.url) as replica:
        replica.tell("v1", "shop/gone")
        copied(replica, *(f"v{number}" for number in range(20)))
        del upstream.contents.repositories["shop/gone"]
        assert replica.reconcile() is RoundEnd.COMPLETE
        wait_until(lambda: any(each.end is CopyEnd.FAILED for each in replica.entries()))
        assert linked_manifests(replica.running.store, "shop/gone")
        replica.advance(7)
        replica.wait_quiet()
        assert not linked_manifests(replica.running.store, "shop/gone")
        assert len(replica.tags) == 20


def test_what_a_client_began_is_completed(upstream: HostileUpstream) -> None:
    """An artifact of which only the manifest is here is incomplete, and brought."""
    image = pushed(upstream, "v1")
    with told(upstream.url) as replica:
        pull(replica.running.client, REPOSITORY, "v1").expect(200)
        assert len(visible_blobs(replica.running.store)) == 1
        replica.reconcile()
        replica.wait_quiet()
        assert replica.findings == {Finding.INCOMPLETE: 1}
        here = visible_blobs(replica.running.store).keys()
        assert here == {image.digest, *(each.digest for each in image.blobs)}


def test_what_can_not_be_completed_is_tried_once(upstream: HostileUpstream) -> None:
    """An index that names what was never pushed isn't repaired again in each round."""
    upstream.contents.add(REPOSITORY, sparse_index(), "v1")
    with told(upstream.url) as replica:
        copied(replica, "v1")
        for _ in range(3):
            replica.reconcile()
            replica.wait_quiet()
        assert replica.findings == {Finding.INCOMPLETE: 1}


def test_what_was_evicted_stays_away(upstream: HostileUpstream) -> None:
    """Bytes that capacity took are not fetched back, by however many rounds."""
    image = pushed(upstream, "v1")
    with told(upstream.url) as replica:
        copied(replica, "v1")
        evicted = image.blobs[-1].digest
        remove(replica, evicted)
        upstream.forget()
        for _ in range(2):
            replica.reconcile()
            replica.wait_quiet()
        assert replica.findings == {}
        assert evicted not in visible_blobs(replica.running.store)
        assert [seen.method for seen in upstream.requests(path=MANIFESTS)] == ["HEAD", "HEAD"]


def remove(replica: Told, digest: str) -> None:
    """Evict one content."""
    evictor = replica.running.replica._capacity._evictor
    entry = Entry(key_of(Digest.parse(digest)), 0, Rank.PROBATION, 0)
    replica.running.thread.run(evictor._remove([entry]))
    assert digest not in visible_blobs(replica.running.store)


def test_hot_repositories_come_first(upstream: HostileUpstream) -> None:
    """The repository that a client pulled from last is looked at before all others."""
    names = [f"shop/{letter}" for letter in "abcd"]
    for name in names:
        pushed(upstream, "v1", repository=name)
    with told(upstream.url) as replica:
        for name in names:
            replica.tell("v1", name)
        replica.wait_done(4)
        for name in ("shop/b", "shop/c"):
            pull(replica.running.client, name, "v1").expect(200)
        upstream.forget()
        replica.reconcile()
        lists = [seen.path for seen in upstream.requests(path=TAGS)]
        order = ["shop/c", "shop/b", "shop/a", "shop/d"]
        assert lists == [f"/v2/{name}/tags/list" for name in order]


def test_every_page_is_read(upstream: HostileUpstream) -> None:
    """Catalogue and tags come in pages, of which none is left out."""
    upstream.settings.catalogue_page = 2
    upstream.settings.tags_page = 2
    with told(upstream.url) as replica:
        replica.reconcile()
        wanted = {f"v{number}" for number in range(5)}
        for tag in wanted:
            pushed(upstream, tag)
        for number in range(4):
            pushed(upstream, "v1", repository=f"shop/more-{number}")
        replica.reconcile()
        replica.wait_quiet()
        assert replica.tags.keys() == wanted
        assert replica.findings == {Finding.MISSING: 9}
        assert upstream.count(path=CATALOGUE) == 1 + 3


def test_it_comes_by_itself(upstream: HostileUpstream) -> None:
    """A round comes at the first start and then every `reconcile_every`, give or take a tenth."""
    pushed(upstream, "v1", "old")
    with told(upstream.url, replication={"reconcile_every": Duration(3600.0)}) as replica:
        copied(replica, "v1")
        rounds = replica.running.events
        wait_until(lambda: len(rounds("reconcile.ended")) == 1)
        replica.running.clock.advance(3200)
        new = pushed(upstream, "v1", "new")
        replica.tell("v9", kind=Kind.TAG)  # it is busy, and not yet with a round
        replica.wait_done(2)
        assert len(rounds("reconcile.ended")) == 1
        replica.running.clock.advance(800)
        wait_until(lambda: len(rounds("reconcile.ended")) == 2)
        replica.wait_quiet()
        assert replica.tags["v1"] == new.digest


def test_an_event_on_its_way_is_no_finding(upstream: HostileUpstream) -> None:
    """What an event told of, and which isn't done yet, is not taken for missed."""
    pushed(upstream, "v1", "old")
    with told(upstream.url) as replica:
        copied(replica, "v1")
        new = pushed(upstream, "v1", "new")
        held = upstream.inject(Hold(), method="GET", path=manifest_path(REPOSITORY, "v1"))
        replica.tell("v1")
        held.wait_fired()
        replica.reconcile()
        held.release()
        replica.wait_quiet()
        assert replica.findings == {}
        assert replica.tags == {"v1": new.digest}
        assert {each.trigger for each in replica.entries()} == {Trigger.EVENT}


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"tags": "v1"}', b'{"names": []}', b'{"tags": ["v0"', b"\xff"]
)
def test_what_is_no_list_says_nothing(upstream: HostileUpstream, body: bytes) -> None:
    """A list that can't be read is none: the tags here are asked about all the same."""
    pushed(upstream, "v1", "old")
    with told(upstream.url) as replica:
        copied(replica, "v1")
        new = pushed(upstream, "v1", "new")
        fault = upstream.inject(OtherBody(body), path=TAGS)
        assert replica.reconcile() is RoundEnd.COMPLETE
        replica.wait_quiet()
        assert fault.fired
        assert replica.findings == {Finding.CHANGED: 1}
        assert replica.tags == {"v1": new.digest}


def test_what_was_given_up_is_found_again(upstream: HostileUpstream) -> None:
    """A tag whose copy was given up is no news under way: the next round takes it up again."""
    pushed(upstream, "v1", "old")
    with told(upstream.url, replication={"give_up": Duration(0.0)}) as replica:
        copied(replica, "v1")
        new = pushed(upstream, "v1", "new")
        path = manifest_path(REPOSITORY, "v1")
        upstream.inject(OtherBody(b"{}"), method="GET", path=path, times=None)
        replica.tell("v1")
        wait_until(lambda: replica.entries(state="dead"))
        upstream.heal()
        replica.reconcile()
        replica.wait_quiet()
        assert replica.findings == {Finding.CHANGED: 1}
        assert replica.tags == {"v1": new.digest}
