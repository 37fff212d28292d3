"""C16, C17, settled 12 to 14: how old a tag may be that a replica shows, whatever befalls events.

The model knows what each tag named when. Held against it, at every pull:
- never an older state than was shown before it began, whatever happens;
- while the primary answers: never a state older than an event that the replica has taken; under
  the lease never one older than an event that reached the hub more than a lease's length ago, nor
  one that ended longer ago than `idle_verify` and one round trip; without it none that ended
  longer ago than `ttl` and one round trip.
"""

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from proxy.events.event import ManifestPushed
from proxy.oci.digest import Digest
from proxy.oci.errors import Unavailable
from proxy.oci.reference import Tag
from tests.faults_disk.sweeping import IS_SOAK
from tests.registry_store.ground import A, Heard, ManualClock
from tests.replication.hubs import LEASE_SECONDS, MemoryHub, MemoryJournal
from tests.replication.lossy import (
    DIGESTS,
    IDLE_VERIFY,
    IMAGES,
    TTL,
    History,
    MovingPrimary,
    Region,
    opened_region,
    pushed,
    settled,
)

pytestmark = pytest.mark.timeout(1200 if IS_SOAK else 120)
TAGS = (Tag("v1"), Tag("v2"))
tags = st.sampled_from((TAGS[0], TAGS[0], TAGS[1]))
pulls = st.lists(tags, max_size=2)
arrivals = st.sampled_from([None, 0, 1, 1, 2])  # None: later, if at all
images = st.integers(0, len(IMAGES) - 1)


@dataclass(slots=True)
class Sent:
    """A notification on its way from the primary to the hub; *state* is the one it tells of."""

    event: ManifestPushed
    state: int
    logged_at: float = float("inf")


@dataclass(slots=True)
class Pulling:
    """A pull under way: what was promised when it began."""

    tag: Tag
    task: "asyncio.Task[Digest]"
    began_at: float
    is_leased: bool
    is_promised: bool
    told_of: int
    shown: int


class LossyPrimary(RuleBasedStateMachine):
    """`sent` is on its way to the hub; `logged` says what state each event of its log tells of."""

    @initialize(first=images, second=images)
    def begin(self, first: int, second: int) -> None:
        shared = Path("/dev/shm")
        self.folder = tempfile.mkdtemp(dir=shared if shared.is_dir() else None)
        self.runner = asyncio.Runner()
        self.heard, self.clock = Heard(), ManualClock()
        self.hub, self.journal = MemoryHub(epoch="e0"), MemoryJournal()
        self.primary = MovingPrimary()
        for each in IMAGES:
            self.primary.add(each.data, A)
        for tag, image in zip(TAGS, (first, second), strict=True):
            self.primary.histories[tag] = History()
            self.primary.histories[tag].move(image, self.clock.now())
        self.sent: list[Sent] = []
        self.logged: list[Sent] = []
        self.ever_logged: list[Sent] = []
        self.shown = dict.fromkeys(TAGS, 0)
        self.told_of = dict.fromkeys(TAGS, 0)
        self.pulling: list[Pulling] = []
        self.trips: list[tuple[float, float]] = []
        self.epochs = 0
        self._open()
        self.stay_in_step(1, 1000, [], list(TAGS))

    def _open(self) -> None:
        self.stack = AsyncExitStack()
        opened = opened_region(
            Path(self.folder), self.primary, self.hub, self.journal, self.clock, self.heard
        )
        self.region: Region = self.runner.run(self.stack.enter_async_context(opened))

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.stack.aclose())
            self.runner.close()
            self.heard.close()
            shutil.rmtree(self.folder)

    # --- the primary, and what becomes of its notifications ---------------------------------------

    @rule(tag=tags, image=images, times=arrivals, is_followed=st.booleans(), pulled=pulls)
    def push(
        self, tag: Tag, image: int, times: int | None, is_followed: bool, pulled: list[Tag]
    ) -> None:
        self._move(tag, image, times)
        if is_followed:
            self.follow(1000)
        self._pull_all(pulled)

    def _move(self, tag: Tag, image: int, times: int | None) -> int:
        state = self.primary.histories[tag].move(image, self.clock.now())
        self.clock.pass_(0.5)
        self.sent.append(Sent(pushed(tag, image), state))
        if times is not None:
            self._arrive(self.sent.pop(), times)
        return state

    @rule(tag=tags, image=images, times=arrivals, pulled=pulls)
    def push_through_the_replica(
        self, tag: Tag, image: int, times: int | None, pulled: list[Tag]
    ) -> None:
        state = self._move(tag, image, times)
        self.runner.run(self.region.book.apply(A, tag, DIGESTS[image], self.clock.now()))
        self.shown[tag] = state
        self._pull_all(pulled)

    @precondition(lambda self: self.sent)
    @rule(number=st.integers(0, 5), times=st.sampled_from([0, 1, 1, 2]), pulled=pulls)
    def arrive(self, number: int, times: int, pulled: list[Tag]) -> None:
        """A late notification is lost, arrives, or arrives twice, in any order."""
        self._arrive(self.sent.pop(number % len(self.sent)), times)
        self._pull_all(pulled)

    def _arrive(self, sent: Sent, times: int) -> None:
        event(f"a notification arrived {times} times")
        for _ in range(times):
            self.hub.log(sent.event)
            self.logged.append(replace(sent, logged_at=self.clock.now()))
            self.ever_logged.append(self.logged[-1])

    @rule(seconds=st.sampled_from([0.001, TTL, IDLE_VERIFY]), pulled=pulls)
    def outage(self, seconds: float, pulled: list[Tag]) -> None:
        """The primary is away for a time; what is promised of pulls under way is void."""
        for each in self.pulling:
            each.is_promised = False
        self.primary.is_away = True
        self._pull_all(pulled)
        self.clock.pass_(seconds)
        self._pull_all(pulled)
        for each in self.pulling:
            each.is_promised = False
        self.primary.is_away = False

    # --- the hub and the way from it --------------------------------------------------------------

    @rule(most=st.integers(0, 3), pulled=pulls)
    def follow_a_little(self, most: int, pulled: list[Tag]) -> None:
        """The stream comes in up to some event, and breaks."""
        self.follow(most)
        self._pull_all(pulled)

    def follow(self, most: int) -> None:
        self.runner.run(self._follow(most))

    async def _follow(self, most: int) -> None:
        self.hub.most = most
        taken = len(self.journal.taken)
        await self.region.subscription.follow()
        for notice in self.journal.taken[taken:]:
            sent = self.logged[notice.cursor.seq - 1]
            assert sent.event == notice.event
            tag = sent.event.tag
            assert tag is not None
            self.told_of[tag] = max(self.told_of[tag], sent.state)

    @rule(
        seconds=st.sampled_from([0.1, LEASE_SECONDS - 1, 100.0]),
        tag=tags,
        image=images,
        times=arrivals,
        pulled=pulls,
    )
    def wait_for_a_lease(
        self, seconds: float, tag: Tag, image: int, times: int | None, pulled: list[Tag]
    ) -> None:
        """The hub's answer takes a while; a tag moves meanwhile."""

        def meanwhile() -> None:
            self.clock.pass_(seconds / 2)
            self._move(tag, image, times)
            self.clock.pass_(seconds / 2)

        self.hub.before_answer = meanwhile
        self.runner.run(self.region.lease.ask())
        self._pull_all(pulled)
        self.clock.pass_(LEASE_SECONDS - 2)
        self._pull_all(pulled)

    async def _ask_for_a_lease(self, seconds: float) -> None:
        self.hub.before_answer = lambda: self.clock.pass_(seconds)
        await self.region.lease.ask()

    @rule(tag=tags, image=images, times=arrivals, steps=st.sampled_from([0, 1, 7]), pulled=pulls)
    def restart_the_hub(
        self, tag: Tag, image: int, times: int | None, steps: int, pulled: list[Tag]
    ) -> None:
        """It comes back with another log; what nobody had read of the old one is lost."""
        self._move(tag, image, times)
        self.epochs += 1
        self.hub.restart(f"e{self.epochs}")
        self.logged.clear()
        self.stay_in_step(steps, 1000, [], pulled)

    # --- time -------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.001, 1.0, TTL, IDLE_VERIFY / 2, 86_400.0]), pulled=pulls)
    def sleep(self, seconds: float, pulled: list[Tag]) -> None:
        """Nothing runs, as while a machine sleeps, and time has passed after that."""
        self.clock.pass_(seconds)
        self._pull_all(pulled)

    @rule(
        steps=st.sampled_from([1, 7, 61]),
        most=st.sampled_from([0, 1000, 1000]),
        during=pulls,
        pulled=pulls,
    )
    def stay_in_step(self, steps: int, most: int, during: list[Tag], pulled: list[Tag]) -> None:
        """A while in which the lease is renewed in time, whether events come in or hang."""
        self.runner.run(self._stay_in_step(steps, most))
        self._pull_all(during)
        self.clock.pass_(1.0)
        self._pull_all(pulled)

    @rule(tag=tags, image=images, steps=st.sampled_from([7, 61]))
    def lose_an_event(self, tag: Tag, image: int, steps: int) -> None:
        """A tag moves, nobody is told, and nobody pulls it for a while."""
        self._move(tag, image, 0)
        self.stay_in_step(steps, 1000, [], [tag])

    async def _stay_in_step(self, steps: int, most: int) -> None:
        for _ in range(steps):
            self.clock.pass_(LEASE_SECONDS / 3)
            await self._follow(most)
            await self._ask_for_a_lease(0.1)

    # --- pulls ------------------------------------------------------------------------------------

    def _pull_all(self, pulled: list[Tag]) -> None:
        for tag in pulled:
            self.runner.run(self._begin(tag))
            self._end_those_done()

    async def _begin(self, tag: Tag) -> None:
        is_leased = self.region.lease.is_live()
        task = asyncio.create_task(self.region.pull(tag))
        self.pulling.append(
            Pulling(
                tag,
                task,
                self.clock.now(),
                is_leased,
                not self.primary.is_away,
                self.told_of[tag],
                self.shown[tag],
            )
        )
        if self.primary.gate is None:
            await settled(lambda: task.done() and self.region.checks_running == 0)
        else:
            await settled(self._all_wait)

    def _all_wait(self) -> bool:
        """Say whether each pull has ended or waits for a check, and each check behind the gate."""
        left = sum(not each.task.done() for each in self.pulling)
        are_waiting = self.primary.waiting >= self.region.checks_running
        return are_waiting and self.region.checks.pulls >= left

    def _end_those_done(self) -> None:
        done = [each for each in self.pulling if each.task.done()]
        self.pulling = [each for each in self.pulling if not each.task.done()]
        for each in done:
            with suppress(Unavailable):  # checked below: not while the primary answers
                self._check(each, each.task.result())
                continue
            assert not each.is_promised

    def _check(self, pull: Pulling, digest: Digest) -> None:
        history = self.primary.histories[pull.tag]
        states = [n for n in history.states_of(digest) if n >= pull.shown]
        assert states, "an older state than was shown before"
        self.shown[pull.tag] = max(self.shown[pull.tag], states[0])
        if not pull.is_promised:
            return
        assert states[-1] >= pull.told_of, "older than an event that was taken"
        if pull.is_leased:
            assert states[-1] >= self._due_under_lease(pull), "older than an event at the hub"
        bound = IDLE_VERIFY if pull.is_leased else TTL
        bound += max((took for end, took in self.trips if end >= pull.began_at - bound), default=0)
        age = pull.began_at - history.until(states[-1])
        assert age <= bound + 1e-6, "older than was promised"
        event(f"leased: {pull.is_leased}, stale: {age > 0}")

    def _due_under_lease(self, pull: Pulling) -> int:
        """Give the newest state of which an event reached the hub in time."""
        due_at = pull.began_at - LEASE_SECONDS
        due = [each for each in self.ever_logged if each.logged_at < due_at]
        return max((each.state for each in due if each.event.tag == pull.tag), default=0)

    # --- slow answers of the primary --------------------------------------------------------------

    @rule(
        before=pulls,
        moved=st.lists(st.tuples(tags, images, arrivals, st.booleans()), max_size=2),
        after=pulls,
        seconds=st.sampled_from([0.0, 0.0, 1.0, TTL, IDLE_VERIFY]),
    )
    def answer_slowly(
        self,
        before: list[Tag],
        moved: list[tuple[Tag, int, int | None, bool]],
        after: list[Tag],
        seconds: float,
    ) -> None:
        """The primary's answers, once decided, stay on their way while other things happen."""
        gate = self.primary.gate = asyncio.Event()
        gated_at = self.clock.now()
        self._pull_all(before)
        for tag, image, times, is_ours in moved:
            if is_ours:
                self.push_through_the_replica(tag, image, times, after)
            else:
                self.push(tag, image, times, is_followed=True, pulled=after)
        self.clock.pass_(seconds)
        self._pull_all(after)
        self.trips.append((self.clock.now(), self.clock.now() - gated_at))
        self.primary.gate = None
        gate.set()
        self.runner.run(self._all_end())
        self._end_those_done()

    async def _all_end(self) -> None:
        await settled(
            lambda: (
                all(each.task.done() for each in self.pulling) and self.region.checks_running == 0
            ),
        )

    # --- restarts ---------------------------------------------------------------------------------

    @rule(pulled=pulls)
    def restart(self, pulled: list[Tag]) -> None:
        """The replica begins another life on what it wrote down."""
        self.runner.run(self.stack.aclose())
        self._open()
        self._pull_all(pulled)


TestLossyPrimary = LossyPrimary.TestCase
TestLossyPrimary.settings = settings(
    max_examples=400 if IS_SOAK else 40, stateful_step_count=30, deadline=None, print_blob=True
)
