"""Tags that events keep current: what is asked under a lease, what after an event, what without."""

import asyncio
from collections.abc import Callable

import pytest

from config import Freshness, TagPolicy
from proxy.cli.explain import ask
from proxy.registry.layout import Layout
from tests.conftest import Opened
from tests.fills.calls import causes, get, head, manifest_path
from tests.fills.crowd import pull, pull_all
from tests.fills.in_process import AdvancedClock, InProcess, in_process
from tests.support.hostile import Hold, HostileUpstream, Status
from tests.support.told import Told
from tests.support.waiting import eventually, wait_until
from tests.tags.conftest import NEVER_AGES
from tests.tags.scene import NEW, OLD, TAG, TTL_SECONDS, by_digest, is_stale, name, pulled

VERIFY_EVERY = 60.0
IDLE_VERIFY = 600.0


@pytest.fixture
def clock() -> AdvancedClock:
    return AdvancedClock()


@pytest.fixture
def told(clock: AdvancedClock) -> Told:
    return Told(clock)


@pytest.fixture
def replica(
    upstream: HostileUpstream, opened: Opened, clock: AdvancedClock, told: Told
) -> InProcess:
    """A replica of ``upstream`` under a lease, that knows the tag as the old image."""
    # the lower ttl tells what is asked for want of a lease from what is asked under one
    tags = {"ttl": TTL_SECONDS, "verify_every": VERIFY_EVERY, "idle_verify": IDLE_VERIFY}
    running = opened(
        in_process(upstream.url, clock=clock, assurance=told, access=NEVER_AGES, tags=tags)
    )
    name(upstream, OLD)
    clock.advance(1)
    pulled(running, OLD)
    upstream.forget()
    return running


def checks(upstream: HostileUpstream) -> int:
    return sum(each.path == TAG for each in upstream.seen)


def checked_behind(upstream: HostileUpstream, replica: InProcess) -> None:
    """Wait until a check behind an answer has ended."""
    wait_until(lambda: upstream.seen, 5, "a check behind the answer")
    wait_until(lambda: len(replica.replica._chain.tags._checks._running) == 0, 5, "the check's end")


def test_under_a_lease_nothing_leaves_the_region(upstream, replica, clock) -> None:
    """A tag pull under a live lease asks nobody on its path: with the primary gone it is answered,
    and not as stale, until it has been idle for too long.
    """
    upstream.cut()
    for _ in range(9):
        clock.advance(IDLE_VERIFY / 10)
        assert not is_stale(pulled(replica, OLD))
    clock.advance(IDLE_VERIFY / 10)
    assert is_stale(pulled(replica, OLD))


def test_a_check_goes_behind_the_answer(upstream, replica, clock) -> None:
    """Settled 13: older than `verify_every`, a tag is answered and then checked by a conditional
    HEAD, once; what that finds is in the next answer.
    """
    name(upstream, NEW)
    with causes(upstream):
        clock.advance(VERIFY_EVERY - 5)
        pulled(replica, OLD)
    upstream.forget()
    clock.advance(10)
    hold = upstream.inject(Hold(), method="HEAD", path=TAG)
    for _ in range(5):
        pulled(replica, OLD)
    wait_until(lambda: hold.fired, 5, "the check")
    assert checks(upstream) == 1
    hold.release()
    checked_behind(upstream, replica)
    upstream.forget()
    pulled(replica, NEW)
    assert checks(upstream) == 0


def test_a_failed_check_isnt_repeated_at_once(upstream, replica, clock) -> None:
    """Settled 13: at most once within `verify_every` and tag, also while checks fail."""
    fault = upstream.inject(Status(500), times=None, path=TAG)
    clock.advance(VERIFY_EVERY)
    pulled(replica, OLD)
    wait_until(lambda: fault.fired, 5, "the check")
    checked_behind(upstream, replica)
    for _ in range(5):
        assert not is_stale(pulled(replica, OLD))
    assert checks(upstream) == 1
    clock.advance(VERIFY_EVERY)
    pulled(replica, OLD)
    wait_until(lambda: checks(upstream) == 2, 5, "the next check")


def test_checks_behind_answers_are_bounded(upstream, replica, clock) -> None:
    """Where many tags are due at once, few are asked about at a time; all are answered."""
    names = [f"t{number}" for number in range(50)]
    for each in names:
        name(upstream, OLD, each)
        replica.client.get(manifest_path("app", each)).expect(200)
    clock.advance(VERIFY_EVERY)
    upstream.forget()
    holds = upstream.inject(Hold(), method="HEAD", times=None)
    for each in names:
        replica.client.get(manifest_path("app", each)).expect(200)
    running = replica.replica._chain.tags._checks._running
    assert len(running) == 32
    wait_until(lambda: len(upstream.seen) == 32, 5, "as many checks")
    holds.release()
    wait_until(lambda: len(running) == 0, 5, "their end")


def test_idle_for_too_long(upstream, replica, clock) -> None:
    """Settled 13: older than `idle_verify`, a tag is checked first: the bound for a lost event."""
    name(upstream, NEW)
    clock.advance(IDLE_VERIFY)
    with causes(upstream, head(TAG), get(by_digest(NEW))):
        pulled(replica, NEW)


@pytest.mark.parametrize("tag", ["v1", None], ids=["tag", "repository"])
@pytest.mark.parametrize("is_leased", [True, False])
def test_an_event_is_followed_at_once(upstream, replica, clock, told, tag, is_leased) -> None:
    """C16, settled 12: a tag that an event told of is asked about first, lease or not; once."""
    told.is_leased = is_leased
    name(upstream, NEW)
    clock.advance(1)
    told.tell("app", tag)
    clock.advance(1)
    with causes(upstream, head(TAG), get(by_digest(NEW))):
        pulled(replica, NEW)
        pulled(replica, NEW)


@pytest.mark.parametrize(("repository", "tag"), [("app", "v2"), ("other", "v1"), ("other", None)])
def test_events_of_others_cost_nothing(upstream, replica, clock, told, repository, tag) -> None:
    """An event of another tag or repository leaves this one alone."""
    clock.advance(1)
    told.tell(repository, tag)
    with causes(upstream):
        pulled(replica, OLD)


def test_an_event_while_the_primary_is_away(upstream, replica, clock, told) -> None:
    """F11: a tag that an event told of is answered as it was, marked stale, until the primary can
    be asked.
    """
    clock.advance(1)
    told.tell("app", "v1")
    fault = upstream.inject(Status(503), times=2, path=TAG)
    assert is_stale(pulled(replica, OLD))
    assert fault.fired
    name(upstream, NEW)
    wait_until(lambda: replica.client.get(TAG).header("Docker-Content-Digest") == NEW.digest)


def test_without_a_lease_age_counts(upstream, replica, clock, told) -> None:
    """A lease that ended leaves tags to `tags.ttl`."""
    clock.advance(TTL_SECONDS * 2)
    pulled(replica, OLD)
    checked_behind(upstream, replica)
    told.is_leased = False
    with causes(upstream):
        clock.advance(TTL_SECONDS - 5)
        pulled(replica, OLD)
    with causes(upstream, head(TAG, 304)):
        clock.advance(10)
        pulled(replica, OLD)


def test_after_a_gap_each_tag_is_checked_once(upstream, replica, clock, told) -> None:
    """Settled 13: what was checked before events may have been missed is checked first, once."""
    clock.advance(1)
    told.marks.start_over()
    clock.advance(1)
    with causes(upstream, head(TAG, 304)):
        pulled(replica, OLD)
        pulled(replica, OLD)


def test_after_a_restart_each_tag_is_checked_once(
    upstream: HostileUpstream, opened: Opened, store
) -> None:
    """What another life of the process knew isn't covered by this one's lease."""
    clock = AdvancedClock()
    name(upstream, OLD)
    with in_process(upstream.url, root=store, clock=clock, access=NEVER_AGES) as first:
        pulled(first, OLD)
    second = opened(
        in_process(upstream.url, root=store, clock=clock, assurance=Told(clock), access=NEVER_AGES)
    )
    upstream.forget()
    clock.advance(1)
    pulled(second, OLD)
    assert sum("If-None-Match" in each.fields for each in upstream.seen) == 1
    with causes(upstream):
        pulled(second, OLD)


@pytest.mark.parametrize(("policy", "asked"), [("ttl", 0), ("never", 0), ("always", 1)])
def test_other_policies_take_no_events(
    upstream: HostileUpstream, opened: Opened, clock, told, policy, asked
) -> None:
    """Only tags whose policy is `event` go by events."""
    policies = (TagPolicy(repositories="**", freshness=Freshness(policy)),)
    running = opened(
        in_process(
            upstream.url,
            clock=clock,
            assurance=told,
            access=NEVER_AGES,
            tags={"policies": policies},
        )
    )
    name(upstream, OLD)
    clock.advance(1)
    pulled(running, OLD)
    told.tell("app", "v1")
    upstream.forget()
    pulled(running, OLD)
    assert checks(upstream) == asked


# --- questions under way when an event comes ------------------------------------------------------


async def test_a_question_from_before_an_event_wont_do(upstream, replica, clock, told) -> None:
    """Settled 14: a pull that comes after an event joins no question that began before it, since
    the answer may be from before the push.
    """
    clock.advance(IDLE_VERIFY)
    hold = upstream.inject(Hold(), method="HEAD", path=TAG)
    early = asyncio.create_task(pull(replica.address, TAG))
    await eventually(lambda: hold.fired)
    name(upstream, NEW)
    clock.advance(1)
    told.tell("app", "v1")
    clock.advance(1)
    late = asyncio.create_task(pull(replica.address, TAG))
    await eventually(lambda: replica.replica._server.busy == 2, what="both pulls are there")
    hold.release()
    assert (await early).body in {OLD.data, NEW.data}
    assert (await late).body == NEW.data
    assert (await pull(replica.address, TAG)).body == NEW.data


async def test_absence_from_before_an_event_wont_do(upstream, replica, clock, told) -> None:
    """C16: a 404 that was asked for before a push isn't the answer to who comes after its event."""
    path = manifest_path("app", "v2")
    hold = upstream.inject(Hold(), method="GET", path=path)
    early = asyncio.create_task(pull(replica.address, path))
    await eventually(lambda: hold.fired)
    name(upstream, NEW, "v2")
    told.tell("app", "v2")
    clock.advance(1)
    late = asyncio.create_task(pull(replica.address, path))
    await eventually(lambda: replica.replica._server.busy == 2, what="both pulls are there")
    hold.release()
    assert (await early).status == 404
    assert (await late).body == NEW.data


async def test_a_crowd_after_an_event_asks_once(upstream, replica, clock, told) -> None:
    """C7: many pulls of a tag that an event told of share one question and one fetch."""
    name(upstream, NEW)
    clock.advance(1)
    told.tell("app", "v1")
    clock.advance(1)
    hold = upstream.inject(Hold(), method="HEAD", path=TAG)
    upstream.forget()
    crowd = asyncio.create_task(pull_all(replica.address, [TAG] * 50))
    await eventually(lambda: hold.fired)
    await eventually(lambda: replica.replica._server.busy == 50, what="all are there")
    hold.release()
    assert {each.body for each in await crowd} == {NEW.data}
    assert [each.method for each in upstream.seen] == ["HEAD", "GET"]


# --- what is said of it ---------------------------------------------------------------------------

Step = Callable[[AdvancedClock, Told], None]
SAID: dict[str, Step] = {
    "no event since that check": lambda *_: None,
    "may have changed": lambda _, told: told.tell("app", "v1"),
    "There is no lease": lambda _, told: setattr(told, "is_leased", False),
    "may have been missed": lambda _, told: told.marks.start_over(),
    "checked at the primary behind the answer": lambda clock, _: clock.advance(VERIFY_EVERY),
    "checked at the primary with a HEAD first": lambda clock, _: clock.advance(IDLE_VERIFY),
}


@pytest.mark.parametrize("sentence", SAID)
def test_explain_tells_of_the_lease(replica, clock, told, sentence) -> None:
    """`explain` says what is known of events, and what a pull would do for that; it asks nobody."""
    clock.advance(1)
    SAID[sentence](clock, told)
    status, found = ask(Layout(replica.store).control_socket, "/explain?reference=app:v1")
    assert status == 200
    assert any(sentence in step for step in found["steps"]), found["steps"]
