"""The subscription: from the journal's place on, in order, without gaps, and again after breaks."""

import asyncio
import json
import random
from dataclasses import dataclass, field

import pytest

from proxy.events.cursor import Cursor
from proxy.events.event import BlobPushed, TagDeleted
from proxy.net.hub import CursorGone, HubRefused, HubUnavailable
from proxy.net.sse import ServerEvent
from proxy.oci.digest import Digest
from proxy.oci.errors import RegistryError, StoreUnavailable
from proxy.oci.reference import Tag
from proxy.replication.cursor import Mark
from proxy.replication.intake import Intake
from proxy.replication.lease import Lease
from proxy.replication.marks import Marks
from proxy.replication.pace import Pace
from proxy.replication.subscription import Owner, Subscription
from proxy.replication.told import Told
from tests.registry_store.ground import A, Heard, ManualClock
from tests.replication.hubs import UNAVAILABLE, MemoryHub, MemoryJournal, notice_event

V1 = Tag("v1")
EVENTS = [TagDeleted(A, Tag(f"v{number}")) for number in range(1, 10)]
BLOB = BlobPushed(A, Digest.of(b"layer"))
NOT_UNDERSTOOD = '{"received_at": 1, "event": {"version": 9}}'


@dataclass(slots=True)
class World:
    """A subscription to a hub in memory. `waits` are its pauses; the last of `runs` ends it."""

    clock: ManualClock
    heard: Heard
    hub: MemoryHub = field(default_factory=MemoryHub)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    effects: int = 0
    settings: int = 0
    refusals: list[HubRefused] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    runs: int = 1
    marks: Marks = field(init=False)
    lease: Lease = field(init=False)
    told: Told = field(default_factory=Told)
    intake: Intake = field(init=False)
    subscription: Subscription = field(init=False)

    def __post_init__(self) -> None:
        log = self.heard.telemetry.log
        self.marks = Marks(self.clock)
        self.clock.pass_(1)
        self.lease = Lease(self.hub, self.clock, log)
        self.intake = Intake(
            self.journal, self.marks, self.lease, self._note_effect, log, self.told
        )
        owner = Owner(self._note_settings, self.refusals.append)
        pace = Pace(random=random.Random(1), pause=self._pause)
        self.subscription = Subscription(self.hub, self.intake, self.clock, log, owner, pace)

    async def _note_effect(self) -> None:
        self.effects += 1

    def _note_settings(self) -> None:
        self.settings += 1

    async def _pause(self, seconds: float, _: asyncio.Event) -> None:
        self.waits.append(seconds)
        self.clock.pass_(seconds)
        if len(self.waits) >= self.runs:
            raise asyncio.CancelledError

    async def run(self, times: int = 1) -> list[float]:
        """Follow so many connections in a row; give the pauses behind them."""
        self.waits, self.runs = [], times
        with pytest.raises(asyncio.CancelledError):
            await self.subscription.run()
        return self.waits

    @property
    def taken(self) -> list[int]:
        return [each.cursor.seq for each in self.journal.taken]


@pytest.fixture
def world(clock: ManualClock, heard: Heard) -> World:
    return World(clock, heard)


async def test_the_first_time_begins_at_the_end(world: World):
    """Without a place the log's end is asked for, everything before is left to a reconcile, and
    what comes from then on is taken.
    """
    world.hub.log(*EVENTS[:3])
    await world.subscription.follow()
    world.hub.log(EVENTS[3])
    await world.subscription.follow()
    assert world.journal.started_over == [Cursor("one", 3)]
    assert world.taken == [4]
    assert world.hub.asked == ["GET /v1/self", "EVENTS one:3", "EVENTS one:3"]


async def test_it_goes_on_behind_the_journals_place(world: World):
    """After a restart nothing is missed, nothing taken twice, and no reconcile asked for."""
    world.hub.log(*EVENTS[:5])
    world.journal.at = Cursor("one", 2)
    await world.subscription.follow()
    assert world.taken == [3, 4, 5]
    assert world.journal.batches == [3], "what came together is one transaction"
    assert world.journal.started_over == []
    assert [each.event for each in world.journal.taken] == EVENTS[2:5]


async def test_what_is_for_another_region_moves_the_place_alone(world: World):
    """A replay for another region's replica marks nothing, asks for nothing, and is behind us."""
    world.journal.at = Cursor("one", 0)
    world.told.hear({"replica": {"region": "ap-here"}})
    world.hub.log(*EVENTS[:3])
    world.hub.only = {2: "ap-there", 3: "ap-here"}
    await world.subscription.follow()
    assert [each.event for each in world.journal.taken] == [EVENTS[0], None, EVENTS[2]]
    assert (await world.journal.cursor(), world.journal.started_over) == (Cursor("one", 3), [])
    dirty = [world.marks.is_dirty(A, each.tag, world.clock.now()) for each in EVENTS[:3]]
    assert dirty == [True, False, True]


async def test_an_event_is_known_before_its_place(world: World):
    """Settled 12: marks are there when the journal has taken the events, negative answers are
    dropped, and only then the lease hears of the place.
    """
    world.hub.log(*EVENTS[:2])
    world.journal.at = Cursor("one", 0)
    await world.subscription.follow()
    now = world.clock.now()
    assert all(world.marks.is_dirty(A, each.tag, now) for each in EVENTS[:2])
    assert not world.marks.is_dirty(A, EVENTS[2].tag, now)
    assert world.effects == 1
    await world.lease.ask()
    assert world.lease.is_live()


async def test_what_cant_be_kept_moves_nothing(world: World):
    """F16: while the journal can't write, the lease hears of no place and all comes again later."""
    world.hub.log(*EVENTS[:2])
    world.journal.at = Cursor("one", 0)
    await world.subscription.follow()
    world.hub.log(EVENTS[2])
    world.journal.fails = True
    await world.lease.ask()
    with pytest.raises(StoreUnavailable):
        await world.subscription.follow()
    assert not world.lease.is_live()
    world.journal.fails = False
    await world.subscription.follow()
    assert world.taken == [1, 2, 3]
    assert world.lease.is_live()


GONE = {
    "epoch": lambda world: world.hub.restart("two"),
    "trimmed": lambda world: setattr(world.hub, "floor", 4),
    "beyond-the-end": lambda world: setattr(world.journal, "at", Cursor("one", 77)),
}


@pytest.mark.parametrize("reason", GONE)
async def test_a_place_that_is_gone(world: World, reason: str):
    """F14, C17: another epoch, a trimmed log or a place beyond its end: over from the log's end,
    nothing known so far is covered, and what was granted has ended.
    """
    world.hub.log(*EVENTS[:5])
    world.journal.at = Cursor("one", 5)
    await world.subscription.follow()
    await world.lease.ask()
    assert world.lease.is_live()
    world.hub.log(*EVENTS[:3])
    if reason == "trimmed":
        world.journal.at = Cursor("one", 2)
    checked_at = world.clock.now()
    assert world.marks.covers(checked_at)
    GONE[reason](world)
    await world.subscription.follow()
    assert world.journal.started_over == [Cursor(world.hub.epoch, world.hub.head)]
    assert not world.lease.is_live()
    assert not world.marks.covers(checked_at)
    (line,) = world.heard.events("subscription.started_over")
    assert line["cursor"] == f"{world.hub.epoch}:{world.hub.head}"


async def test_a_place_that_stays_gone(world: World):
    """A hub that calls its own end gone is tried again with pauses, not in a loop."""
    world.journal.at = Cursor("one", 0)
    world.hub.floor = 1
    with pytest.raises(CursorGone):
        await world.subscription.follow()
    assert len(world.hub.asked) == 3
    waits = await world.run(8)
    assert sum(waits) > 60


def sent(*seqs: int, epoch: str = "one") -> list[ServerEvent]:
    return [notice_event(Cursor(epoch, seq), EVENTS[0]) for seq in seqs]


@pytest.mark.parametrize(
    ("events", "started_over", "taken"),
    [
        (sent(1, 2, 3), [], [1, 2, 3]),
        (sent(1, 1, 2, 1, 2, 3), [], [1, 2, 3]),
        (sent(1, 3, 4), [Cursor("one", 2)], [1, 3, 4]),
        (sent(1, 3, 2, 4), [Cursor("one", 2)], [1, 3, 4]),
        (sent(2, 3), [Cursor("one", 1)], [2, 3]),
        ([*sent(1), *sent(7, 8, epoch="two")], [Cursor("two", 6)], [1, 7, 8]),
        ([*sent(1), *sent(1, epoch="two")], [Cursor("two", 0)], [1, 1]),
    ],
    ids=["in-order", "doubled", "gap", "gap-and-late", "gap-at-once", "epoch", "epoch-begins"],
)
async def test_gaps_and_doubles_in_the_stream(world: World, events, started_over, taken):
    """F14, F15, C17: what was taken is passed over; behind a gap it starts over and goes on."""
    world.journal.at = Cursor("one", 0)
    world.hub.extra = events
    await world.subscription.follow()
    assert world.journal.started_over == started_over
    assert world.taken == taken


async def test_an_event_that_isnt_understood(world: World):
    """An event of a newer hub moves the place on, and its neighbours are taken; since it may have
    told of anything, all is looked at once, and nothing is answered under the lease before.
    """
    world.journal.at = Cursor("one", 0)
    first, _, third = sent(1, 2, 3)
    world.hub.extra = [first, ServerEvent(NOT_UNDERSTOOD, "notice", "one:2"), third]
    await world.subscription.follow()
    assert world.taken == [1, 2, 3]
    assert [each.event is None for each in world.journal.taken] == [False, True, False]
    (line,) = world.heard.events("subscription.started_over")
    assert "can't be read" in line["reason"]
    assert line["cursor"] == "one:3"
    assert not world.lease.is_live()


async def test_other_events_of_the_stream(world: World):
    """`settings` reaches the owner; heartbeats and what isn't known are passed over."""
    world.journal.at = Cursor("one", 0)
    world.hub.log(*EVENTS[:5])
    world.hub.most = 0
    world.hub.extra = [
        *sent(1),
        ServerEvent(json.dumps({"head": 5}), "heartbeat"),
        ServerEvent("", "settings"),
        ServerEvent("x", "something-new"),
    ]
    await world.subscription.follow()
    assert (world.settings, world.taken) == (1, [1])


async def test_settings_may_have_changed_while_nothing_was_heard(world: World):
    """The first connection of a process comes right behind reading the settings; at each later one,
    and at one behind failures, the owner looks at them again.
    """
    world.journal.at = Cursor("one", 0)
    await world.run()
    assert world.settings == 0
    await world.run(2)
    assert world.settings == 2
    world.hub.error = UNAVAILABLE
    await world.run(3)
    assert world.settings == 2, "nothing is asked of a hub that is away"
    world.hub.error = None
    await world.run()
    assert world.settings == 3


@pytest.mark.parametrize("error", [UNAVAILABLE, HubRefused()])
async def test_settings_after_a_start_without_the_hub(world: World, error: RegistryError):
    """What was read while the hub was away is read again at the first connection."""
    world.journal.at = Cursor("one", 0)
    world.hub.error = error
    await world.run(2)
    world.hub.error = None
    await world.run()
    assert world.settings == 1


async def test_a_first_connection_at_a_place_that_is_gone(world: World):
    """To begin at the log's end instead isn't to connect again."""
    world.journal.at = Cursor("other", 3)
    await world.run()
    assert world.journal.started_over
    assert world.settings == 0


@pytest.mark.parametrize("place", ["", "one:0", "one", "one:x"])
async def test_an_event_without_a_place_ends_the_stream(world: World, place: str):
    """Without a place in the log nothing may be taken on."""
    world.journal.at = Cursor("one", 0)
    world.hub.extra = [*sent(1), ServerEvent("{}", "notice", place)]
    with pytest.raises(HubUnavailable):
        await world.subscription.follow()
    assert world.taken == []


@pytest.mark.parametrize("said", [{}, {"epoch": "one", "head": "x"}, {"epoch": "", "head": 1}])
async def test_a_hub_that_doesnt_say_its_end(world: World, said, monkeypatch):
    """What /v1/self must say and doesn't is told, and nothing has changed."""

    async def get(*_: str) -> object:
        return said

    monkeypatch.setattr(MemoryHub, "get", get)
    with pytest.raises(HubUnavailable):
        await world.subscription.follow()
    assert world.journal.at is None


# --- breaks ---------------------------------------------------------------------------------------


async def test_breaks_are_spread(world: World):
    """F15: after a hub's restart replicas come back over some seconds, not at once; later with
    each failure in a row, within a minute.
    """
    world.hub.error = UNAVAILABLE
    firsts = []
    for seed in range(200):
        other = World(world.clock, world.heard, hub=world.hub)
        other.subscription._pace = Pace(random=random.Random(seed), pause=other._pause)
        firsts += await other.run()
    assert max(sum(0.5 * n <= each < 0.5 * (n + 1) for each in firsts) for n in range(20)) < 40
    assert max(firsts) <= 10
    waits = await world.run(30)
    assert max(waits) <= 60
    assert max(waits) > 45
    assert len(set(waits)) == 30


async def test_a_steady_connection_forgets_failures(world: World):
    """After a connection that lasted pauses are short again; after one that broke at once not."""
    world.hub.error = UNAVAILABLE
    await world.run(10)
    world.hub.error = None
    world.hub.stream_error = UNAVAILABLE
    world.journal.at = Cursor("one", 0)
    assert max(await world.run(5)) > 10
    world.hub.before_end = lambda: world.clock.pass_(60)
    assert max(await world.run(10)) <= 10


@pytest.mark.parametrize(("asked", "least", "most"), [(20.0, 20, 30), (1e9, 300, 310)])
async def test_the_hubs_own_time_is_kept(world: World, asked: float, least: float, most: float):
    """A hub that drains says when to come again: not before, a little spread, and within reason."""
    world.journal.at = Cursor("one", 0)
    world.hub.retry_seconds = asked
    for wait in await world.run(10):
        assert least <= wait <= most


async def test_a_time_in_an_error_is_kept(world: World):
    """So does one that is busy, with Retry-After."""
    world.hub.error = HubUnavailable(retry_after_seconds=100)
    world.hub.error.is_time_named = True
    (wait,) = await world.run()
    assert 100 <= wait <= 110


async def test_a_refusal_is_told_once(world: World):
    """A revoked token or a drained replica: the owner hears of it once, the hub seldom; when it is
    let in again and refused again, that is news.
    """
    world.journal.at = Cursor("one", 0)
    world.hub.error = HubRefused()
    assert all(150 <= each <= 300 for each in await world.run(5))
    assert len(world.refusals) == len(world.heard.events("subscription.refused")) == 1
    world.hub.error = None
    await world.run()
    assert world.subscription.heard.error == ""
    world.hub.error = HubRefused()
    await world.run(2)
    assert len(world.refusals) == 2


async def test_a_hub_that_is_away_for_an_hour(world: World):
    """Nothing is lost, and nothing but the lease ends: marks and place stay, and it goes on."""
    world.hub.log(EVENTS[0])
    world.journal.at = Cursor("one", 0)
    await world.subscription.follow()
    world.hub.error = UNAVAILABLE
    began_at = world.clock.now()
    while world.clock.now() < began_at + 3600:
        await world.run()
    assert world.subscription.heard.connected_since is None
    world.hub.log(*EVENTS[1:4])
    world.hub.error = None
    await world.run()
    assert world.taken == [1, 2, 3, 4]
    assert world.journal.started_over == []


async def test_status_says_how_it_fares(world: World):
    """Connected since, last heard, and what went wrong."""
    heard = world.subscription.heard
    assert (heard.connected_since, heard.heard_at) == (None, None)
    world.hub.log(*EVENTS[:5])
    world.hub.most = 2
    world.journal.at = Cursor("one", 0)
    world.hub.extra = [ServerEvent('{"head": 5}', "heartbeat")]
    await world.subscription.follow()
    assert heard.heard_at == world.clock.now()
    world.hub.error = UNAVAILABLE
    await world.run()
    assert heard.error == UNAVAILABLE.message


async def test_kept_marks_count_after_a_restart(world: World):
    """What the journal kept of events that weren't dealt with is dirty from the start."""
    world.journal.kept = [Mark(A, V1)]
    world.marks.add(await world.journal.marks())
    assert world.marks.is_dirty(A, V1, world.clock.now())
