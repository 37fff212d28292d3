"""How often the primary is asked about a tag, and with what."""

import asyncio
from pathlib import Path

import pytest

from tests.conftest import Opened
from tests.fills.calls import causes, get, head, manifest_path
from tests.fills.crowd import pull_all
from tests.fills.in_process import AdvancedClock, InProcess, in_process
from tests.support.hostile import MANIFESTS, Hold, HostileUpstream, Settings
from tests.support.images import MANIFEST_TYPES
from tests.support.waiting import eventually
from tests.tags.conftest import NEVER_AGES
from tests.tags.scene import NEW, OLD, TAG, TTL_SECONDS, by_digest, known, name, pulled

YEAR_SECONDS = 365 * 86_400.0


def test_within_the_ttl_nobody_is_asked(upstream: HostileUpstream, replica: InProcess) -> None:
    """A tag checked less than `tags.ttl` ago is answered from here."""
    name(upstream, OLD)
    pulled(replica, OLD)
    replica.clock.advance(TTL_SECONDS - 5)
    name(upstream, NEW)
    with causes(upstream):
        pulled(replica, OLD)
        replica.client.head(TAG).expect(200)


def test_an_old_tag_is_checked_by_a_conditional_head(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """An older tag costs one HEAD with the known digest; its 304 makes the tag fresh again."""
    known(upstream, replica)
    with causes(upstream, head(TAG, 304)):
        pulled(replica, OLD)
        pulled(replica, OLD)
    check = upstream.seen[-1].fields
    assert check.get("If-None-Match") == f'"{OLD.digest}"'
    assert {each.strip() for each in check.get("Accept").split(",")} >= set(MANIFEST_TYPES)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_changed_tag_is_fetched_by_digest(
    upstream: HostileUpstream, replica: InProcess, method: str
) -> None:
    """A tag that moved costs that HEAD and one GET of what it names now."""
    known(upstream, replica)
    name(upstream, NEW)
    with causes(upstream, head(TAG), get(by_digest(NEW))):
        reply = replica.client.request(method, TAG).expect(200)
        pulled(replica, NEW)
    assert reply.header("Docker-Content-Digest") == NEW.digest


def test_a_tag_that_moved_back(upstream: HostileUpstream, replica: InProcess) -> None:
    """Settled 14: a rollback made at the primary is a new state, followed like any other; what is
    here already isn't fetched again.
    """
    known(upstream, replica)
    name(upstream, NEW)
    pulled(replica, NEW)
    replica.clock.advance(TTL_SECONDS)
    name(upstream, OLD)
    with causes(upstream, head(TAG)):
        pulled(replica, OLD)


@pytest.mark.parametrize(
    ("settings", "check"),
    [
        (Settings(has_etags=False), [head(TAG)]),
        (Settings(has_digest_header=False), [head(TAG, 304)]),
        (Settings(has_etags=False, has_digest_header=False), [head(TAG), get(TAG)]),
    ],
    ids=["no-etag", "no-digest", "neither"],
)
def test_primaries_that_tell_less(
    upstream: HostileUpstream, replica: InProcess, settings: Settings, check: list[str]
) -> None:
    """A primary without ETag or Docker-Content-Digest is asked as much as needed, and no more."""
    upstream.settings = settings
    known(upstream, replica)
    with causes(upstream, *check):
        pulled(replica, OLD)
    replica.clock.advance(TTL_SECONDS)
    name(upstream, NEW)
    pulled(replica, NEW)


def test_digests_are_never_revalidated(upstream: HostileUpstream, replica: InProcess) -> None:
    """Settled 15: a manifest by digest is answered from here, whatever its age."""
    known(upstream, replica)
    upstream.contents.repository("app").forget(OLD.digest)
    replica.clock.advance(YEAR_SECONDS)
    with causes(upstream):
        assert replica.client.get(by_digest(OLD)).expect(200).body == OLD.data


async def test_a_crowd_asks_once(upstream: HostileUpstream, replica: InProcess) -> None:
    """Simultaneous pulls of an old tag cost one HEAD."""
    known(upstream, replica)
    hold = upstream.inject(Hold(), method="HEAD", path=TAG)
    with causes(upstream, head(TAG, 304)):
        pulls = asyncio.create_task(pull_all(replica.address, [TAG] * 50))
        await eventually(lambda: hold.fired and replica.replica._gate.in_flight == 50)
        hold.release()
        assert {each.body for each in await pulls} == {OLD.data}


def test_a_restart_keeps_tags_and_their_age(
    opened: Opened, upstream: HostileUpstream, store: Path
) -> None:
    """After a restart a tag is as fresh as it was: only the caller's right is asked for anew."""
    clock = AdvancedClock()
    name(upstream, OLD)
    with in_process(upstream.url, root=store, clock=clock, access=NEVER_AGES) as before:
        pulled(before, OLD)
    clock.advance(TTL_SECONDS / 2)
    after = opened(in_process(upstream.url, root=store, clock=clock, access=NEVER_AGES))
    with causes(upstream, head(TAG)):
        pulled(after, OLD)
    assert "If-None-Match" not in upstream.seen[-1].fields
    clock.advance(TTL_SECONDS / 2)
    with causes(upstream, head(TAG, 304)):
        pulled(after, OLD)


def test_tags_are_their_repositorys_own(upstream: HostileUpstream, replica: InProcess) -> None:
    """The same tag in another repository, and another tag of this one, are asked for themselves."""
    name(upstream, OLD)
    upstream.contents.add("other", NEW, "v1")
    upstream.contents.repository("app").tags["v2"] = OLD.digest
    pulled(replica, OLD)
    elsewhere = manifest_path("other", "v1")
    with causes(upstream, head(elsewhere), get(elsewhere), get(manifest_path("app", "v2"))):
        assert replica.client.get(elsewhere).expect(200).body == NEW.data
        assert replica.client.get(manifest_path("app", "v2")).expect(200).body == OLD.data
    assert upstream.count("HEAD", MANIFESTS) == 2
