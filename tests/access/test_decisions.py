"""What is remembered of the primary's decisions, moment by moment."""

import asyncio
import gc
import weakref

import pytest

from proxy.oci.errors import Denied, Unauthorized, Unavailable
from proxy.registry.asking import Asking
from proxy.registry.decisions import MAX_REFUSALS, Decisions, Standing
from proxy.telemetry.labels import DecisionUse
from tests.access.in_process import ManualClock

TTL, GRACE = 60.0, 3600.0


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def decisions(clock):
    return Decisions(TTL, GRACE, 1000, clock.now)


@pytest.mark.parametrize(
    ("age", "standing"),
    [
        (0, Standing.FRESH),
        (29.9, Standing.FRESH),
        (30, Standing.AGEING),
        (59.9, Standing.AGEING),
        (60, Standing.LAPSED),
        (3599.9, Standing.LAPSED),
        (3600, Standing.UNKNOWN),
    ],
)
def test_a_grant_ages(age, standing, decisions, clock):
    """Settled 9: fresh to half of its ttl, asked behind up to it, before the answer past it."""
    decisions.grant("a")
    clock.advance(age)
    assert decisions.standing("a") is standing
    assert decisions.is_granted("a") == (age < TTL)
    assert decisions.has_been_granted("a") == (age < GRACE)


def test_without_grace_a_grant_ends_with_its_ttl(clock):
    """Settled 9: zero turns the grace of an outage off."""
    decisions = Decisions(TTL, 0.0, 10, clock.now)
    decisions.grant("a")
    clock.advance(59.9)
    assert decisions.standing("a") is Standing.AGEING
    clock.advance(0.1)
    assert decisions.standing("a") is Standing.UNKNOWN


def test_a_refusal_ends_a_grant_and_is_forgotten_soon(decisions, clock):
    """Settled 7, 35: a refusal counts at once, and for two seconds."""
    decisions.grant("a")
    decisions.refuse("a", Denied("no"))
    assert decisions.standing("a") is Standing.REFUSED
    assert not decisions.has_been_granted("a")
    clock.advance(1.9)
    assert decisions.standing("a") is Standing.REFUSED
    clock.advance(0.1)
    assert decisions.standing("a") is Standing.UNKNOWN


def test_what_was_asked_before_a_refusal_grants_nothing(decisions, clock):
    """An answer that was under way when a right ended can't bring it back."""
    asked_at = clock.now()
    clock.advance(1)
    decisions.refuse("a", Unauthorized())
    decisions.grant("a", asked_at)
    assert decisions.standing("a") is Standing.REFUSED
    decisions.grant("a", clock.now())
    assert decisions.standing("a") is Standing.FRESH


def test_a_grant_is_as_old_as_its_proof(decisions, clock):
    """A token from memory proves no more than it did when it was fetched."""
    fetched_at = clock.now()
    clock.advance(40)
    decisions.grant("a", fetched_at)
    assert decisions.standing("a") is Standing.AGEING
    decisions.grant("a", clock.now())
    decisions.grant("a", fetched_at)
    assert decisions.standing("a") is Standing.FRESH


def test_refused_strangers_push_nobody_out(decisions, clock):
    """T19, T25: any number of refused callers leaves the grants of others where they are."""
    decisions.grant("a")
    for number in range(MAX_REFUSALS):
        decisions.refuse(number, Unauthorized())
    assert decisions.standing("a") is Standing.FRESH
    assert len(decisions) == 1


def test_grants_are_bounded(decisions):
    """The one that was used least recently goes first."""
    for number in range(1000):
        decisions.grant(number)
    assert decisions.standing(0) is Standing.FRESH
    decisions.grant("new")
    assert decisions.standing(0) is Standing.FRESH
    assert decisions.standing(1) is Standing.UNKNOWN
    assert len(decisions) == 1000


async def test_a_remembered_refusal_keeps_nothing_alive(decisions, asking):
    """The error of a refusal is raised anew each time: frames of refused requests are let go."""

    class Request:
        pass

    seen = []

    async def refused():
        request = Request()
        seen.append(weakref.ref(request))
        await asking.require("a", "a", asyncio.Event().wait)

    decisions.refuse("a", Denied("no"))
    for _ in range(3):
        with pytest.raises(Denied, match="no"):
            await refused()
    gc.collect()
    assert [each() for each in seen] == [None, None, None]


# --- asking ---------------------------------------------------------------------------------------


class Primary:
    """Answers what the test says, and counts."""

    def __init__(self, decisions, clock):
        self.decisions, self.clock = decisions, clock
        self.error = None
        self.asked = 0

    async def __call__(self):
        self.asked += 1
        if isinstance(self.error, (Unauthorized, Denied)):
            self.decisions.refuse("a", self.error)
        if self.error is not None:
            raise self.error
        self.decisions.grant("a", self.clock.now())


@pytest.fixture
async def asking(decisions):
    asking = Asking(decisions)
    yield asking
    await asking.close()


@pytest.fixture
def primary(decisions, clock):
    return Primary(decisions, clock)


async def ask(asking, primary):
    return await asking.require("a", "a", primary)


async def settle(asking):
    """Let what was started behind come to its end, whatever that is."""
    await asyncio.gather(*asking._questions._running.values(), return_exceptions=True)


async def test_half_way_through_it_is_asked_behind_once(asking, primary, clock):
    """Settled 9: from half of the ttl one question goes out behind the answers."""
    assert await ask(asking, primary) is DecisionUse.ASKED
    clock.advance(29)
    assert [await ask(asking, primary) for _ in range(5)] == [DecisionUse.KNOWN] * 5
    assert primary.asked == 1
    clock.advance(1)
    assert [await ask(asking, primary) for _ in range(5)] == [DecisionUse.KNOWN] * 5
    await settle(asking)
    assert primary.asked == 2
    clock.advance(29)
    assert await ask(asking, primary) is DecisionUse.KNOWN
    assert primary.asked == 2


async def test_questions_behind_are_bounded_to_a_rate(asking, primary, clock):
    """Settled 9: while the primary doesn't decide, it is asked once in five seconds, not always."""
    await ask(asking, primary)
    primary.error = Unavailable()
    clock.advance(30)
    for _ in range(20):
        assert await ask(asking, primary) is DecisionUse.KNOWN
        await settle(asking)
        clock.advance(0.5)
    assert primary.asked == 1 + 2


async def test_past_the_ttl_it_is_asked_before_the_answer(asking, primary, clock):
    """Settled 9: a lapsed right is asked for again before the answer, each time."""
    await ask(asking, primary)
    clock.advance(60)
    assert await ask(asking, primary) is DecisionUse.ASKED
    assert primary.asked == 2
    primary.error = Denied()
    clock.advance(60)
    with pytest.raises(Denied):
        await ask(asking, primary)
    with pytest.raises(Denied):
        await ask(asking, primary)
    assert primary.asked == 3


async def test_an_outage_is_waited_for_once(asking, primary, clock):
    """Settled 9: in an outage the grant holds; later answers don't wait for the next tries, which
    go on behind at their rate, and the first that reaches the primary ends the grace.
    """
    await ask(asking, primary)
    clock.advance(60)
    primary.error = Unavailable()
    assert await ask(asking, primary) is DecisionUse.GRACE
    assert primary.asked == 2
    for _ in range(10):
        assert await ask(asking, primary) is DecisionUse.GRACE
    assert primary.asked <= 3
    primary.error = Denied()
    clock.advance(5)
    assert await ask(asking, primary) is DecisionUse.GRACE
    await settle(asking)
    with pytest.raises(Denied):
        await ask(asking, primary)


async def test_an_outage_long_ago_excuses_nothing(asking, primary, clock):
    """Settled 9: a grace that nobody used for a while begins with a question again."""
    await ask(asking, primary)
    primary.error = Unavailable()
    clock.advance(60)
    assert await ask(asking, primary) is DecisionUse.GRACE
    await settle(asking)
    primary.error = Unauthorized()
    clock.advance(600)
    with pytest.raises(Unauthorized):
        await ask(asking, primary)


async def test_the_grace_counts_from_the_last_yes(asking, primary, clock):
    """Settled 9: the grace of an outage begins with the last yes, not with the outage."""
    await ask(asking, primary)
    primary.error = Unavailable()
    clock.advance(GRACE - 1)
    assert await ask(asking, primary) is DecisionUse.GRACE
    await settle(asking)
    clock.advance(1)
    with pytest.raises(Unavailable):
        await ask(asking, primary)
