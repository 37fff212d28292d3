"""Reconcile where the primary is strange, silent or busy: nothing is removed for that."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from proxy.replication.reconcile import may_remove
from proxy.telemetry.labels import Finding, RoundEnd
from tests.fills.conftest import store
from tests.replication.copying import REPOSITORY, Told, told
from tests.replication.test_reconcile import CATALOGUE, copied, deleted, pushed
from tests.support.hostile import (
    MANIFESTS,
    TAGS,
    Header,
    HostileUpstream,
    MoreHeaders,
    OtherBody,
    Page,
    Status,
)
from tests.support.pushing import pull
from tests.support.waiting import wait_until

__all__ = ["store"]

TEN = tuple(f"v{number}" for number in range(10))


def ten(upstream: HostileUpstream, replica: Told) -> None:
    """Let the replica have ten tags."""
    for tag in TEN:
        pushed(upstream, tag)
    copied(replica, *TEN)


# --- many deletions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gone", "total", "expected"),
    [
        (0, 0, False),
        (1, 1, False),
        (1, 2, True),
        (1, 10, True),
        (2, 10, False),
        (2, 40, True),
        (3, 40, False),
        (5, 100, True),
        (6, 100, False),
        (500, 10_000, True),
        (501, 10_000, False),
    ],
)
def test_how_many_may_go(gone: int, total: int, expected: bool) -> None:
    """Settled 11: up to 5% of the tags go at once, one of several, never all."""
    assert may_remove(gone, total) is expected


def test_too_many_deletions_are_held(upstream: HostileUpstream) -> None:
    """Settled 11: more than 5% gone is an alarm: nothing is removed, all of it is served on."""
    with told(upstream.url) as replica:
        ten(upstream, replica)
        for tag in TEN[:2]:
            deleted(upstream, tag)
        assert replica.reconcile() is RoundEnd.HELD
        replica.wait_quiet()
        assert replica.tags.keys() == set(TEN)
        shown = replica.running.metrics()
        assert shown.value("proxima_reconcile_held_deletions") == 2
        assert shown.value("proxima_reconcile_rounds_total", end="held") == 1
        (line,) = replica.running.events("reconcile.deletions_held")
        assert (line["level"], line["kind"], line["gone"]) == ("error", "gone", 2)
        assert line["there"] == 10
        assert pull(replica.running.client, REPOSITORY, TEN[2]).status == 200


def test_a_hold_ends_when_the_tags_are_there_again(upstream: HostileUpstream) -> None:
    """The alarm is over with the next round that has nothing to hold."""
    with told(upstream.url) as replica:
        ten(upstream, replica)
        kept = dict(upstream.contents.repository(REPOSITORY).tags)
        upstream.contents.repository(REPOSITORY).tags.clear()
        assert replica.reconcile() is RoundEnd.HELD
        upstream.contents.repository(REPOSITORY).tags.update(kept)
        assert replica.reconcile() is RoundEnd.COMPLETE
        assert replica.running.metrics().value("proxima_reconcile_held_deletions") == 0
        assert replica.tags == kept


def test_what_is_changed_is_mended_all_the_same(upstream: HostileUpstream) -> None:
    """Deletions that are held keep nothing else back."""
    with told(upstream.url) as replica:
        ten(upstream, replica)
        for tag in TEN[:5]:
            deleted(upstream, tag)
        new = pushed(upstream, TEN[9], "new")
        assert replica.reconcile() is RoundEnd.HELD
        replica.wait_quiet()
        assert replica.tags[TEN[9]] == new.digest


def test_many_go_with_leave(upstream: HostileUpstream) -> None:
    """With `allow_mass_delete` they go, each after its two answers."""
    with told(upstream.url, replication={"allow_mass_delete": True}) as replica:
        ten(upstream, replica)
        for tag in TEN[:8]:
            deleted(upstream, tag)
        assert replica.reconcile() is RoundEnd.COMPLETE
        wait_until(lambda: sum(each.attempts for each in replica.entries(state="failed")) >= 8)
        replica.advance(7)
        replica.wait_quiet()
        assert replica.tags.keys() == set(TEN[8:])


def ends(replica: Told) -> list[str]:
    return [line["end"] for line in replica.running.events("reconcile.ended")]


def test_leave_is_given_by_a_restart(upstream: HostileUpstream, store: Path) -> None:
    """Deletions that were held before a restart that gives leave are looked at after it."""
    with told(upstream.url, root=store) as replica:
        ten(upstream, replica)
        for tag in TEN[:8]:
            deleted(upstream, tag)
        assert replica.reconcile() is RoundEnd.HELD
    with told(upstream.url, root=store, replication={"allow_mass_delete": True}) as replica:
        wait_until(lambda: ends(replica) == ["complete"], 10, "a round by itself")
        assert replica.backlog


def test_leave_is_given_at_run_time(upstream: HostileUpstream) -> None:
    """An operator who has seen the alarm allows it, and they go without a restart, with a round of
    their own also where rounds come after gaps alone.
    """
    with told(upstream.url) as replica:
        ten(upstream, replica)
        for tag in TEN[:8]:
            deleted(upstream, tag)
        assert replica.reconcile() is RoundEnd.HELD
        settings = replica.running.replica._settings
        given = replace(settings.replication, allow_mass_delete=True)
        replica.running.thread.run(
            replica.running.replica.reload(replace(settings, replication=given))
        )
        wait_until(lambda: ends(replica) == ["held", "complete"], 10, "a round by itself")
        assert replica.running.metrics().value("proxima_reconcile_held_deletions") == 0
        assert replica.backlog


def test_an_emptied_primary_removes_nothing(upstream: HostileUpstream) -> None:
    """A primary that lost everything is no reason to lose it here."""
    with told(upstream.url) as replica:
        ten(upstream, replica)
        upstream.contents.repositories.clear()
        assert replica.reconcile() is RoundEnd.HELD
        replica.advance(7)
        assert replica.reconcile() is RoundEnd.HELD
        assert replica.tags.keys() == set(TEN)
        assert replica.backlog == {}


# --- a closed catalogue ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 404, 405, 501])
def test_a_closed_catalogue(upstream: HostileUpstream, status: int) -> None:
    """Where the primary lists no repositories, those of `watch` and those pulled count."""
    with told(upstream.url, replication={"watch": ("shop/watched",)}) as replica:
        closed = upstream.inject(Status(status), path=CATALOGUE, times=None)
        pushed(upstream, "v1", repository="shop/watched")
        pushed(upstream, "v1", repository="shop/pulled")
        pushed(upstream, "v1", repository="shop/unknown")
        pull(replica.running.client, "shop/pulled", "v1").expect(200)
        assert replica.reconcile() is RoundEnd.COMPLETE
        assert closed.fired
        upstream.forget()
        pushed(upstream, "v2", repository="shop/watched")
        pushed(upstream, "v2", repository="shop/pulled")
        assert replica.reconcile() is RoundEnd.COMPLETE
        replica.wait_quiet()
        lists = {seen.path for seen in upstream.requests(path=TAGS)}
        assert lists == {"/v2/shop/watched/tags/list", "/v2/shop/pulled/tags/list"}
        assert replica.findings[Finding.MISSING] == 2


def test_a_repository_that_hides_is_not_gone(upstream: HostileUpstream) -> None:
    """Where the catalogue is closed, "no such repository" may mean that we may not see it: what is
    here of it stays.
    """
    with told(upstream.url) as replica:
        ten(upstream, replica)
        upstream.inject(Status(403), path=CATALOGUE, times=None)
        hidden = upstream.inject(Status(404, "NAME_UNKNOWN"), path=TAGS, times=None)
        assert replica.reconcile() is RoundEnd.COMPLETE
        assert hidden.fired == 1
        assert replica.findings == {}
        assert replica.tags.keys() == set(TEN)


# --- a primary that doesn't answer ----------------------------------------------------------------


def test_an_unreachable_primary_ends_the_round(upstream: HostileUpstream) -> None:
    """Nobody answers: the round ends, removes nothing, proves nothing."""
    with told(upstream.url) as replica:
        ten(upstream, replica)
        assert replica.reconcile() is RoundEnd.COMPLETE
        proven = replica.replication.repair.reconciler.proven_at
        upstream.cut()
        assert replica.reconcile() is RoundEnd.UNREACHABLE
        assert replica.replication.repair.reconciler.proven_at == proven
        assert replica.tags.keys() == set(TEN)
        (line,) = replica.running.events("reconcile.ended")[1:]
        assert (line["level"], line["end"]) == ("warning", "unreachable")
        upstream.restore()


@pytest.mark.parametrize("fault", [Page(404), Page(200), OtherBody(b"nothing")], ids=str)
def test_a_foreign_catalogue_is_none(upstream: HostileUpstream, fault: OtherBody | Page) -> None:
    """What a proxy on the way answers in the primary's place removes nothing."""
    with told(upstream.url) as replica:
        ten(upstream, replica)
        met = upstream.inject(fault, times=None)
        assert replica.reconcile() is RoundEnd.UNREACHABLE
        assert met.fired
        assert replica.tags.keys() == set(TEN)


@pytest.mark.parametrize("status", [401, 403])
def test_forbidden_is_not_gone(upstream: HostileUpstream, status: int) -> None:
    """Tags that we may not ask about are no finding; the round goes on."""
    with told(upstream.url) as replica:
        ten(upstream, replica)
        lists = upstream.inject(Status(status), path=TAGS, times=None)
        heads = upstream.inject(Status(status), method="HEAD", path=MANIFESTS, times=None)
        assert replica.reconcile() is RoundEnd.COMPLETE
        assert lists.fired
        assert heads.fired
        assert replica.findings == {}
        assert replica.tags.keys() == set(TEN)
        assert replica.running.events("reconcile.ended")[0]["unanswered"] == 10


def test_one_tag_in_trouble_holds_up_none(upstream: HostileUpstream) -> None:
    """A tag that the primary can't answer for (500) is left out, the others are compared."""
    with told(upstream.url) as replica:
        ten(upstream, replica)
        new = pushed(upstream, "v9", "new")
        path = f"/v2/{REPOSITORY}/manifests/v3"
        fields = (("Retry-After", "1"),)
        fault = upstream.inject(Status(500, fields=fields), method="HEAD", path=path, times=None)
        assert replica.reconcile() is RoundEnd.COMPLETE
        replica.wait_quiet()
        assert fault.fired == 3
        assert replica.tags["v9"] == new.digest
        assert replica.running.events("reconcile.ended")[0]["unanswered"] == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_primary_slows_it_down(upstream: HostileUpstream, status: int) -> None:
    """A primary that asks for less is waited for as long as it says, and asked at half the rate;
    the round goes on where it was.
    """
    with told(upstream.url) as replica:
        ten(upstream, replica)
        fields = (("Retry-After", "1"),)
        busy = upstream.inject(Status(status, fields=fields), method="HEAD", path=MANIFESTS, skip=3)
        before = len(upstream.seen)
        assert replica.reconcile() is RoundEnd.COMPLETE
        assert busy.fired == 1
        asked = upstream.seen[before:]
        gaps = [b.at_seconds - a.at_seconds for a, b in pairwise(asked)]
        assert max(gaps) >= 0.9
        assert upstream.count("HEAD", MANIFESTS) == len(TEN) + 1
        assert replica.running.events("reconcile.ended")[0]["unanswered"] == 0


# --- pages that lead nowhere ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "link",
    [
        '</v2/shop/api/tags/list>; rel="next"',
        '</v2/shop/other/tags/list?last=v1>; rel="next"',
        '</v2/_catalog?last=v1>; rel="next"',
        '<https://elsewhere.example/evil>; rel="next"',
        "next, please",
    ],
)
def test_pages_that_lead_nowhere(upstream: HostileUpstream, link: str) -> None:
    """A list whose next page is itself, another list or no page is no list; nothing is taken for
    gone that wasn't on its first page, and nobody else is asked.
    """
    with told(upstream.url) as replica:
        ten(upstream, replica)
        lying = upstream.inject(OtherBody(b'{"tags": ["v1"]}'), path=TAGS, times=None)
        upstream.inject(MoreHeaders((("Link", link),)), path=TAGS, times=None)
        assert replica.reconcile() is RoundEnd.COMPLETE
        assert lying.fired == 1
        assert replica.findings == {}
        (line,) = replica.running.events("reconcile.no_list")
        assert line["repository"] == REPOSITORY


def test_a_link_by_another_name_leads_to_the_primary(upstream: HostileUpstream) -> None:
    """Registries name themselves in Link as they please: the next page is asked of the primary."""
    upstream.settings.tags_page = 5
    with told(upstream.url) as replica:
        ten(upstream, replica)
        link = f'<http://registry.example/v2/{REPOSITORY}/tags/list?last=v4&n=5>; rel="next"'
        named = upstream.inject(Header("Link", link), path=TAGS)
        assert replica.reconcile() is RoundEnd.COMPLETE
        assert named.fired
        assert upstream.count(path=TAGS) == 2
        assert replica.findings == {}
