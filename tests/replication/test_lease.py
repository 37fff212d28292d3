"""The lease: when it is live, and when not."""

import asyncio
import random
from collections.abc import Callable

import pytest

from proxy.events.cursor import Cursor
from proxy.events.event import TagDeleted
from proxy.net.hub import CursorGone, HubRefused, HubUnavailable
from proxy.oci.reference import Tag
from proxy.replication.lease import NOT_PROVEN_SECONDS, Lease, answer_of
from proxy.replication.pace import Pace
from tests.registry_store.ground import A, Heard, ManualClock
from tests.replication.hubs import LEASE_SECONDS, UNAVAILABLE, MemoryHub

EVENT = TagDeleted(A, Tag("v1"))


@pytest.fixture
def hub() -> MemoryHub:
    return MemoryHub(events_logged=[EVENT] * 5)


@pytest.fixture
def lease(hub: MemoryHub, clock: ManualClock, heard: Heard) -> Lease:
    return Lease(hub, clock, heard.telemetry.log)


async def test_a_lease_lasts_from_the_sending(lease: Lease, hub: MemoryHub, clock: ManualClock):
    """Settled 12: it counts from when the question was sent, however long the answer took."""
    hub.before_answer = lambda: clock.pass_(20)
    lease.follow(Cursor("one", 5))
    assert not lease.is_live()
    await lease.ask()
    assert lease.is_live()
    assert lease.seconds_left == LEASE_SECONDS - 20
    clock.pass_(LEASE_SECONDS - 20 - 0.001)
    assert lease.is_live()
    clock.pass_(0.001)
    assert not lease.is_live()


async def test_an_answer_that_took_too_long_is_none(lease, hub, clock):
    """An answer older than the lease it brings makes nothing live."""
    hub.before_answer = lambda: clock.pass_(LEASE_SECONDS)
    lease.follow(Cursor("one", 5))
    await lease.ask()
    assert not lease.is_live()


async def test_a_sleep_ends_it(lease, clock):
    """Settled 12: on a clock that counts sleep, who slept wakes up without a lease."""
    lease.follow(Cursor("one", 5))
    await lease.ask()
    assert lease.is_live()
    clock.pass_(3600)
    assert not lease.is_live()


async def test_what_is_on_its_way_has_to_come_in(lease, clock):
    """Settled 12: it is live once the journal has taken the log up to the end that was named."""
    lease.follow(Cursor("one", 3))
    await lease.ask()
    for seq, expected in ((3, False), (4, False), (5, True), (6, True)):
        clock.pass_(1)
        lease.follow(Cursor("one", seq))
        assert lease.is_live() is expected
    assert lease.seconds_left == LEASE_SECONDS - 4


async def test_always_a_little_behind_is_live(lease, hub, clock):
    """Under a steady stream of events, where no answer finds the log taken to its end, each counts
    when its end has been reached; the one before holds until then.
    """
    lease.follow(Cursor("one", 5))
    await lease.ask()
    for _ in range(20):
        clock.pass_(LEASE_SECONDS / 3)
        hub.log(EVENT)
        await lease.ask()
        assert lease.is_live()
        lease.follow(Cursor("one", hub.head))
        assert lease.seconds_left == LEASE_SECONDS


async def test_never_up_to_the_end_is_never_live(lease, hub, clock):
    """Who hangs back by more than a lease has none, and nothing piles up."""
    lease.follow(Cursor("one", 5))
    for _ in range(50):
        hub.log(EVENT)
        await lease.ask()
        clock.pass_(LEASE_SECONDS / 3)
        lease.follow(Cursor("one", hub.head - 10))
        assert not lease.is_live()
    assert len(lease._grants) <= 8


async def test_a_hub_that_isnt_sure_ends_it(lease, hub, clock, heard):
    """No seconds and a reason: what was granted ends at once, and the reason is logged once."""
    lease.follow(Cursor("one", 5))
    await lease.ask()
    hub.reason = "the sentinel is late"
    for _ in range(3):
        assert await lease.ask() == NOT_PROVEN_SECONDS
        assert not lease.is_live()
    assert lease.reason == "the sentinel is late"
    assert len(heard.events("lease.refused")) == 1
    hub.reason = ""
    await lease.ask()
    assert (lease.is_live(), lease.reason) == (True, "")


async def test_another_log_ends_it(lease, hub):
    """A hub with another epoch knows another log: neither the old lease nor its answer counts."""
    lease.follow(Cursor("one", 5))
    await lease.ask()
    hub.restart("two")
    await lease.ask()
    assert not lease.is_live()
    lease.end("a gap")
    lease.follow(Cursor("two", 0))
    assert not lease.is_live()
    await lease.ask()
    assert lease.is_live()


async def test_a_place_that_the_hub_doesnt_know_ends_it(hub, clock, heard, steps, run):
    """A 410 to the question ends what was granted, and not the asking: it goes on once the log is
    followed again.
    """
    lease = Lease(hub, clock, heard.telemetry.log, steps.pace)
    lease.follow(Cursor("one", 5))
    run(lease)
    await steps.next()
    assert lease.is_live()
    hub.error = CursorGone()
    assert 1 <= await steps.next() <= NOT_PROVEN_SECONDS
    assert not lease.is_live()
    hub.error = None
    hub.restart("two")
    lease.follow(Cursor("two", 0))
    await steps.next()
    assert lease.is_live()


async def test_a_gap_during_the_question(lease, hub):
    """What was asked before a gap and is answered within it counts for nothing."""
    lease.follow(Cursor("one", 5))
    hub.before_answer = lambda: lease.end("a gap")
    await lease.ask()
    assert not lease.is_live()
    lease.follow(Cursor("one", 9))
    assert not lease.is_live()


@pytest.mark.parametrize("error", [HubUnavailable(), HubRefused()])
async def test_a_hub_that_is_away_lets_it_run_out(lease, hub, clock, error):
    """What was granted is good to its end, and no longer."""
    lease.follow(Cursor("one", 5))
    await lease.ask()
    hub.error = error
    with pytest.raises(type(error)):
        await lease.ask()
    assert lease.seconds_left == LEASE_SECONDS
    clock.pass_(LEASE_SECONDS)
    assert not lease.is_live()


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"epoch": "e", "head": 1},
        {"epoch": "e", "head": 1, "lease_seconds": "30"},
        {"epoch": "e", "head": 1, "lease_seconds": True},
        {"epoch": "e", "head": 1, "lease_seconds": -1},
        {"epoch": "e", "head": 1, "lease_seconds": 1e9},
        {"epoch": "e", "head": 1, "lease_seconds": float("nan")},
        {"epoch": "e", "head": 1, "lease_seconds": float("inf")},
        {"epoch": "e", "head": -1, "lease_seconds": 30},
        {"epoch": 7, "head": 1, "lease_seconds": 30},
    ],
    ids=str,
)
def test_an_answer_that_cant_be_meant(document: dict[str, object]) -> None:
    """What isn't a place in a log and a sane number of seconds is no answer."""
    with pytest.raises(HubUnavailable):
        answer_of(document)


# --- asking for ever ------------------------------------------------------------------------------


class Steps:
    """Lets the loop of a lease run pause by pause; `waits` says for how long it would have."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.waits: list[float] = []
        self._go = asyncio.Event()
        self._paused = asyncio.Event()
        self.pace = Pace(random=random.Random(1), pause=self._pause)

    async def _pause(self, seconds: float, _: asyncio.Event) -> None:
        self.waits.append(seconds)
        self._paused.set()
        await self._go.wait()
        self._go.clear()

    async def next(self) -> float:
        """Let the pause pass; give how long the one after it is."""
        if self.waits:
            self._clock.pass_(self.waits[-1])
            self._go.set()
        async with asyncio.timeout(5):
            await self._paused.wait()
        self._paused.clear()
        return self.waits[-1]


@pytest.fixture
def steps(clock: ManualClock) -> Steps:
    return Steps(clock)


Run = Callable[[Lease], "asyncio.Task[None]"]


@pytest.fixture
async def run():
    tasks: list[asyncio.Task[None]] = []

    def start(lease: Lease) -> None:
        tasks.append(asyncio.create_task(lease.run()))

    yield start
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_it_is_asked_for_every_third(hub, clock, heard, steps, run):
    """Asked for within each third of its length, it never ends; before the first cursor nobody is
    asked.
    """
    lease = Lease(hub, clock, heard.telemetry.log, steps.pace)
    run(lease)
    for _ in range(5):
        await asyncio.sleep(0)
    assert hub.asked == []
    lease.follow(Cursor("one", 5))
    for number in range(1, 10):
        assert LEASE_SECONDS / 3 * 0.8 <= await steps.next() <= LEASE_SECONDS / 3
        assert len(hub.asked) == number
        assert lease.is_live()


async def test_failures_are_asked_again_with_jitter(hub, clock, heard, steps, run):
    """A hub that is away is asked again, later each time and spread; after a refusal seldom."""
    lease = Lease(hub, clock, heard.telemetry.log, steps.pace)
    hub.error = UNAVAILABLE
    lease.follow(Cursor("one", 5))
    run(lease)
    waits = [await steps.next() for _ in range(20)]
    assert all(1 <= each <= 60 for each in waits)
    assert len(set(waits)) > 10
    assert max(waits) > 30
    hub.error = HubRefused()
    assert 150 <= await steps.next() <= 300
    hub.error = None
    assert await steps.next() <= LEASE_SECONDS / 3
    assert lease.is_live()
