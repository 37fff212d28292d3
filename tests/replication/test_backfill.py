"""Backfill: what was there before the replica comes, in portions, and goes on after a restart."""

from pathlib import Path
from typing import Any

import pytest

from config import Backfill as Policy
from proxy.replication import backfill as module
from proxy.replication.backfill import BackfillStatus
from proxy.replication.journal import Journal
from proxy.replication.newest import CREATED
from proxy.replication.work import Job, Trigger
from proxy.telemetry.labels import CopyEnd, Finding, RoundEnd
from tests.fills.conftest import store
from tests.replication.copying import REPOSITORY, Told, told
from tests.replication.test_reconcile import CATALOGUE, pushed
from tests.support.hostile import BLOBS, MANIFESTS, TAGS, Hold, HostileUpstream, OtherBody, Status
from tests.support.images import docker_multi_platform, oci_image, oci_index
from tests.support.layers import random_layer
from tests.support.pushing import assert_pullable, pull
from tests.support.store_tree import tags as tags_in
from tests.support.store_tree import visible_blobs
from tests.support.waiting import wait_until

__all__ = ["store"]

LAYER_BYTES = 256 << 10
ALL: dict[str, Any] = {"backfill": Policy.ALL}


def newest(count: int) -> dict[str, Any]:
    return {"backfill": Policy.NEWEST, "backfill_newest": count}


def status(replica: Told) -> BackfillStatus:
    return replica.replication.repair.backfill.status


def wait_finished(replica: Told) -> BackfillStatus:
    wait_until(lambda: status(replica).is_finished, 20, "the backfill is finished")
    return status(replica)


def test_everything_comes(upstream: HostileUpstream) -> None:
    """With "all" every tag of every repository in scope is here, whole, and the log says so."""
    images = {tag: pushed(upstream, tag) for tag in ("v1", "v2", "v3")}
    pushed(upstream, "v1", repository="shop/web")
    pushed(upstream, "v1", repository="other/web")
    with told(upstream.url, replication={**ALL, "repositories": ("shop/*",)}) as replica:
        ended = wait_finished(replica)
        assert replica.tags == {tag: image.digest for tag, image in images.items()}
        assert tags_in(replica.running.store, "shop/web")
        assert not tags_in(replica.running.store, "other/web")
        assert (ended.done, ended.total, ended.eta_seconds) == (4, 4, 0.0)
        moved = sum(each.moved_bytes for each in replica.entries())
        assert ended.bytes_done == ended.bytes_total == moved
        assert {each.trigger for each in replica.entries()} == {Trigger.BACKFILL}
        (line,) = replica.running.events("backfill.ended")
        assert line["tags"] == 4
        for tag, image in images.items():
            assert_pullable(replica.running.client, REPOSITORY, image, tag)


def test_nothing_comes(upstream: HostileUpstream) -> None:
    """With "none" the primary isn't even asked what there is."""
    pushed(upstream, "v1")
    with told(upstream.url) as replica:
        replica.tell("v2")
        replica.wait_done()
        assert status(replica).total == 0
        assert not upstream.requests(path=f"{CATALOGUE}|{TAGS}")


def test_it_comes_in_portions(upstream: HostileUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is, the journal has no more than a portion of it at once."""
    monkeypatch.setattr(module, "PORTION", 4)
    for number in range(20):
        pushed(upstream, f"v{number}")
    held = upstream.inject(Hold(), path=BLOBS, times=None)
    with told(upstream.url, replication={**ALL, "concurrent": 2}) as replica:
        held.wait_fired()
        assert replica.backlog == {Trigger.BACKFILL: 4}
        found = status(replica)
        assert (found.is_finished, found.done, found.total) == (False, 0, 20)
        assert found.eta_seconds is None
        upstream.heal()
        wait_finished(replica)
        assert len(replica.tags) == 20


def test_the_time_left_is_estimated(upstream: HostileUpstream) -> None:
    """From the rate of the last minutes, by the clock: half done in so long leaves as long."""
    for number in range(10):
        pushed(upstream, f"v{number}")
    late = upstream.inject(Hold(), path=rf"/v2/{REPOSITORY}/manifests/v[5-9]", times=None)
    with told(upstream.url, replication=ALL) as replica:
        late.wait_fired(5)
        wait_until(lambda: len(replica.tags) == 5)
        wait_until(lambda: status(replica).done == 5)
        replica.advance(100)  # so that what is done now seems to have taken so long
        replica.running.thread.run(replica.replication.repair.backfill._look(replica.clock()))
        found = status(replica)
        assert found.eta_seconds == pytest.approx(100, rel=0.2)
        assert found.bytes_total is not None
        assert found.bytes_total == 2 * found.bytes_done
        upstream.heal()
        wait_finished(replica)


def test_a_restart_goes_on(
    upstream: HostileUpstream, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that is stopped in the middle goes on: nothing is listed or fetched again."""
    monkeypatch.setattr(module, "PORTION", 6)
    for number in range(12):
        pushed(upstream, f"v{number}")
    late = upstream.inject(Hold(), path=rf"/v2/{REPOSITORY}/manifests/v[6-9]", times=None)
    with told(upstream.url, root=store, replication=ALL) as replica:
        late.wait_fired(2)
        done = [each for each in replica.wait_done(4) if each.end is CopyEnd.COMPLETE]
        here = {each.reference for each in done}  # a tag is seen before its job is written off
        assert here <= set(replica.tags)
        assert len(here) >= 4
    upstream.heal()
    upstream.forget()
    with told(upstream.url, root=store, replication=ALL) as replica:
        assert wait_finished(replica).done == 12
        assert len(replica.tags) == 12
        assert not upstream.requests(path=CATALOGUE)
        asked = [seen.path.rpartition("/")[2] for seen in upstream.requests("GET", MANIFESTS)]
        assert not here & set(asked)
    upstream.forget()
    with told(upstream.url, root=store, replication=ALL) as replica:
        assert wait_finished(replica).done == 12
        replica.tell("v1")
        replica.wait_done(1)
        assert not upstream.requests(path=CATALOGUE), "it happens once"


def test_planning_goes_on_after_a_restart(upstream: HostileUpstream, store: Path) -> None:
    """A replica that is stopped while it plans reads the lists that it hasn't read yet."""
    for name in ("shop/a", "shop/b"):
        pushed(upstream, "v1", repository=name)
    held = upstream.inject(Hold(), path="/v2/shop/b/tags/list")
    with told(upstream.url, root=store, replication=ALL):
        held.wait_fired()
    upstream.heal()
    upstream.forget()
    with told(upstream.url, root=store, replication=ALL) as replica:
        wait_finished(replica)
        assert upstream.requests(path=TAGS)[0].path == "/v2/shop/b/tags/list"
        assert all(tags_in(store, name) for name in ("shop/a", "shop/b"))


def test_another_policy_is_another_backfill(upstream: HostileUpstream, store: Path) -> None:
    """What stayed out comes when the settings want it."""
    for tag in ("v1", "v2", "v3"):
        pushed(upstream, tag)
    with told(upstream.url, root=store, replication=newest(1)) as replica:
        wait_finished(replica)
        assert replica.tags.keys() == {"v3"}
    with told(upstream.url, root=store, replication=ALL) as replica:
        wait_finished(replica)
        assert replica.tags.keys() == {"v1", "v2", "v3"}


def test_an_outage_is_waited_out(
    upstream: HostileUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A primary that gives no list when it begins is asked again."""
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.1)
    pushed(upstream, "v1")
    fault = upstream.inject(OtherBody(b"a page"), path=CATALOGUE, times=3)
    with told(upstream.url, replication=ALL) as replica:
        wait_finished(replica)
        assert fault.fired == 3
        assert replica.running.events("backfill.waits")
        assert replica.tags


def test_an_image_that_fails_holds_up_none(upstream: HostileUpstream) -> None:
    """One image that can't be copied is tried again; the others come meanwhile."""
    for number in range(6):
        pushed(upstream, f"v{number}")
    broken = upstream.inject(Status(500), path=f"/v2/{REPOSITORY}/manifests/v3", times=None)
    with told(upstream.url, replication=ALL) as replica:
        wait_until(lambda: len(replica.tags) == 5)
        assert broken.fired
        assert not status(replica).is_finished
        upstream.heal()
        replica.advance(600)
        wait_finished(replica)
        assert len(replica.tags) == 6


# --- the newest -----------------------------------------------------------------------------------


def dated(upstream: HostileUpstream, tag: str, created: str) -> None:
    """Put an image with an annotated date at the primary."""
    image = oci_image(f"dated-{tag}", annotations={CREATED: created})
    upstream.contents.add(REPOSITORY, image, tag)


def test_the_newest_by_their_annotation(upstream: HostileUpstream) -> None:
    """Dates decide, whatever the names are; what stays out is no finding of a comparison."""
    dates = {"aaa": "2026-05-01", "bbb": "2024-01-01", "ccc": "2026-04-01", "v9": "2025-01-01"}
    for tag, date in dates.items():
        dated(upstream, tag, f"{date}T00:00:00Z")
    with told(upstream.url, replication=newest(2)) as replica:
        wait_finished(replica)
        assert replica.tags.keys() == {"aaa", "ccc"}
        assert upstream.count("GET", BLOBS) == 2 * 3, "no other image's config was asked for"
        assert replica.reconcile() is RoundEnd.COMPLETE
        assert replica.findings == {}
        dated(upstream, "ddd", "2026-06-01T00:00:00Z")
        replica.reconcile()
        replica.wait_quiet()
        assert replica.findings == {Finding.MISSING: 1}
        assert replica.tags.keys() == {"aaa", "ccc", "ddd"}


def test_the_newest_by_their_configs(upstream: HostileUpstream) -> None:
    """Without annotations the config's date counts, that of an index's first image for an index."""
    dated(upstream, "old", "2000-01-01T00:00:00Z")
    upstream.contents.add(REPOSITORY, docker_multi_platform(), "list")  # of 2001, by its configs
    upstream.contents.add(REPOSITORY, oci_image("plain"), "image")
    upstream.contents.add(REPOSITORY, oci_index([]), "zzz")  # says nothing
    with told(upstream.url, replication=newest(2)) as replica:
        wait_finished(replica)
        assert replica.tags.keys() == {"list", "image"}


def test_few_tags_cost_nothing(upstream: HostileUpstream) -> None:
    """A repository with no more tags than wanted is copied without a question about dates."""
    for tag in ("v1", "v2"):
        pushed(upstream, tag)
    with told(upstream.url, replication=newest(2)) as replica:
        wait_finished(replica)
        asked = [seen.path.rpartition("/")[2] for seen in upstream.requests("GET", MANIFESTS)]
        assert sorted(asked) == ["v1", "v2"]
        assert {each.end for each in replica.entries()} == {CopyEnd.COMPLETE}


def test_waiting_costs_nothing(upstream: HostileUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """While half of the places are taken by images on their way, nobody asks the journal again and
    again for more of them; news go ahead.
    """
    asked = []
    hand_out = Journal.hand_out

    async def counted(self: Journal, *arguments: Any) -> list[Job]:
        asked.append(arguments)
        return await hand_out(self, *arguments)

    monkeypatch.setattr(Journal, "hand_out", counted)
    for number in range(8):
        pushed(upstream, f"old{number}")
    held = upstream.inject(Hold(), path=rf"/v2/{REPOSITORY}/manifests/old.", times=None)
    with told(upstream.url, replication={**ALL, "concurrent": 4}) as replica:
        held.wait_fired(2)
        for number in range(3):
            pushed(upstream, f"new{number}")
            replica.tell(f"new{number}")
            wait_until(lambda tag=f"new{number}": tag in replica.tags)
        assert len(asked) < 20
        upstream.heal()
        wait_finished(replica)
        assert len(replica.tags) == 11


# --- repositories that come late ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(ALL, {"v1", "v2", "v3"}), (newest(2), {"v1", "v3", "v2"}), ({}, {"v1"})],
    ids=["all", "newest", "none"],
)
def test_a_repository_that_was_pulled_from(
    upstream: HostileUpstream, policy: dict[str, Any], expected: set[str]
) -> None:
    """Where the catalogue is closed, a repository from which somebody pulls comes under the policy
    then, though the backfill is over.
    """
    upstream.inject(Status(403), path=CATALOGUE, times=None)
    for tag in ("v1", "v2", "v3"):
        pushed(upstream, tag)
    with told(upstream.url, replication=policy) as replica:
        wait_finished(replica)
        replica.reconcile()
        assert not replica.tags
        pull(replica.running.client, REPOSITORY, "v1").expect(200)
        for _ in range(2):
            replica.reconcile()
            replica.wait_quiet()
        assert replica.tags.keys() == expected


def test_a_full_store_ends_it(upstream: HostileUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a capacity the backfill ends where the store is full, evicts nothing of what it brought,
    and says what it left; that stays out until somebody pulls it.
    """
    monkeypatch.setattr(module, "PORTION", 4)
    images = {
        f"v{number}": oci_image(f"large-{number}", layers=[random_layer(LAYER_BYTES, str(number))])
        for number in range(20)
    }
    for tag, image in images.items():
        upstream.contents.add(REPOSITORY, image, tag)
    capacity = 10 * LAYER_BYTES
    one_by_one = {**ALL, "concurrent": 2}
    with told(upstream.url, replication=one_by_one, store={"capacity": capacity}) as replica:
        wait_finished(replica)
        replica.wait_quiet()
        here = replica.tags
        assert 5 <= len(here) < 10
        assert replica.running.events("store.evicted") == []
        (line,) = replica.running.events("backfill.full")
        assert line["left"] >= 20 - len(here) - 4
        layers = {images[tag].blobs[-1].digest for tag in here}
        assert layers <= visible_blobs(replica.running.store).keys()
        assert replica.reconcile() is RoundEnd.COMPLETE
        replica.wait_quiet()
        assert replica.tags == here
        left = next(tag for tag in images if tag not in here)
        assert_pullable(replica.running.client, REPOSITORY, images[left], left)
