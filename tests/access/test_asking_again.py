"""When the primary is asked about a right again, and what holds while it can't be asked."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.hostile import (
    MANIFESTS,
    Hold,
    Status,
)
from tests.support.images import oci_image
from tests.support.token_server import Failure
from tests.support.waiting import wait_until

TTL = 60.0


@pytest.fixture
def world(warm_world):
    return warm_world


# --- when it is asked for -------------------------------------------------------------------------


def test_a_known_right_asks_nobody(world):
    """Settled 9: within half of the ttl pulls of what is here ask the primary nothing."""
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    world.upstream.forget()
    for _ in range(10):
        world.pull(alice, "alice/app").expect(200)
        alice.get(world.layer("alice/app"), {"Range": "bytes=0-3"}).expect(206)
    assert world.upstream.seen == []


@pytest.mark.parametrize("kind", ["tokens", "passwords"])
def test_an_ageing_right_is_asked_for_once_behind_the_answer(kind, token_world, password_world):
    """Settled 9: from half of the ttl on, the answer doesn't wait and the primary is asked once."""
    world = token_world() if kind == "tokens" else password_world()
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    alice.get(world.layer("alice/app")).expect(200)
    world.upstream.forget()
    world.replica.clock.advance(TTL / 2)
    held = world.upstream.inject(Hold(), times=None)
    for _ in range(5):
        world.pull(alice, "alice/app").expect(200)
        alice.get(world.layer("alice/app")).expect(200)
    held.wait_fired()
    assert world.upstream.count() == 1
    world.upstream.heal()
    wait_until(lambda: world.upstream.seen[0].status == 200)
    wait_until(lambda: _is_fresh(world, alice))
    assert world.upstream.count() == 1


def _is_fresh(world, client):
    known = world.replica.decisions("known")
    world.pull(client, "alice/app").expect(200)
    world.replica.clock.advance(0)
    return world.replica.decisions("known") == known + 1


def test_a_lapsed_right_is_asked_for_before_the_answer(world, opened):
    """Settled 9: past the ttl the answer waits for the primary's."""
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    world.replica.clock.advance(TTL)
    held = world.upstream.inject(Hold(), method="HEAD")
    pool = opened(ThreadPoolExecutor(1))
    answer = pool.submit(world.pull, alice, "alice/app")
    held.wait_fired()
    assert not answer.done()
    held.release()
    assert answer.result(10).status == 200
    assert world.replica.decisions("asked") >= 2


@pytest.mark.parametrize("status", [401, 403, 404, 412, 451])
def test_the_primarys_no_is_never_answered_from_here(status, world):
    """C16: what the primary answers with 401, 403, 404, 412 or 451 is that answer, though all of
    it is here.
    """
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    world.replica.clock.advance(TTL)
    fault = world.upstream.inject(Status(status), times=None)
    assert world.pull(alice, "alice/app").status == status
    assert fault.fired


# --- when nobody can be asked ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tokens", "passwords"])
def test_in_an_outage_a_right_holds_from_its_last_yes(kind, token_world, password_world):
    """Settled 9: outage_grace counts from the primary's last yes, and then it is over."""
    access = {"outage_grace": 3600.0}
    world = token_world(access=access) if kind == "tokens" else password_world(access=access)
    clock = world.replica.clock
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    world.upstream.cut()
    if world.tokens:
        world.tokens.failure = Failure.ERROR
    for _ in range(3):
        clock.advance(1199)
        alice.log_out()
        assert world.pull(alice, "alice/app").status == 200
    assert world.replica.decisions("grace") >= 1
    clock.advance(3)
    alice.log_out()
    reply = world.pull(alice, "alice/app")
    assert (reply.status, bool(reply.header("Retry-After"))) == _refused_in_outage(world)


def _refused_in_outage(world):
    # a client that gets no token asks again without one, and is challenged
    return (401, False) if world.tokens else (503, True)


def test_without_grace_nothing_holds_past_the_ttl(password_world):
    """Settled 9: outage_grace = 0 turns it off; within the ttl decisions hold."""
    world = password_world(access={"outage_grace": 0.0})
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    world.upstream.cut()
    world.replica.clock.advance(TTL - 1)
    assert world.pull(alice, "alice/app").status == 200
    world.replica.clock.advance(1)
    assert world.pull(alice, "alice/app").status == 503


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_grace_applies_while_the_primary_cannot_answer(status, world):
    """Settled 9, F12: answers that decide nothing let a lapsed right go on, and an unknown not."""
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    world.replica.clock.advance(TTL)
    fault = world.upstream.inject(Status(status, fields=(("Retry-After", "9"),)), times=None)
    assert world.pull(alice, "alice/app").status == 200
    reply = world.pull(world.client("bob"), "shared/app")
    assert reply.status == (429 if status == 429 else 503)
    assert reply.header("Retry-After") == "9"
    assert fault.fired


def test_a_primary_that_hangs_is_waited_for_once(world, monkeypatch):
    """Settled 9, C22: a right that can't be asked for costs the first answer a bounded wait, and
    the next ones nothing.
    """
    monkeypatch.setattr("proxy.registry.asking.GRACE_WAIT_SECONDS", 0.3)
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    world.replica.clock.advance(TTL)
    held = world.upstream.inject(Hold(), path=MANIFESTS, times=None)
    for _ in range(20):
        world.pull(alice, "alice/app").expect(200)
    assert held.fired == 1
    assert world.replica.decisions("grace") == 20


def test_unknown_credentials_wait_for_no_grace(world):
    """Settled 1: credentials that can't be verified get 503 with Retry-After, never content."""
    world.upstream.cut()
    reply = world.pull(world.client("bob"), "shared/app")
    assert reply.status == 503
    assert int(reply.header("Retry-After")) > 0
    assert oci_image().digest.encode() not in reply.body
