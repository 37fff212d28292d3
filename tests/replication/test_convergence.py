"""Pushes, moves, rollbacks and deletions whose notifications are lost, late, doubled, out of order
or replayed, amid restarts, kills, outages and time that passes: what clients are shown never goes
back, and in the end all is as it is at the primary.

`make test` runs some short lives, `make soak` many long ones.
"""

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.faults_disk.sweeping import IS_SOAK
from tests.replication.hub_lives import Return
from tests.replication.judged import JudgedWorld
from tests.replication.tag_history import Key
from tests.replication.world import (
    IDLE_VERIFY,
    IMAGES,
    KEYS,
    RECONCILE_EVERY,
    REPOSITORIES,
    TTL,
    Document,
)

keys = st.sampled_from(KEYS)
repositories = st.sampled_from(REPOSITORIES)
images = st.sampled_from(tuple(IMAGES))
fates = st.sampled_from(["sent", "sent", "lost", "late", "late", "doubled"])
pulls = st.lists(keys, max_size=2)
FORGERIES: tuple[dict[str, str], ...] = (
    {"X-Unasked": "yes"},
    {"X-Proxima-Secret": "guessed"},
    {"Authorization": "Bearer guessed"},
    {"X-Proxima-Timestamp": "1", "X-Proxima-Signature": "sha256=00"},
)


@dataclass(slots=True)
class Numbers:
    """Ids of events, each its own."""

    last: int = 0

    def next(self) -> str:
        self.last += 1
        return f"event-{self.last}"


class Convergence(RuleBasedStateMachine):
    """`late` are notifications on their way, `sent` those that arrived at least once."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = Numbers()
        self.late: list[Document] = []
        self.sent: list[Document] = []

    world: JudgedWorld

    @initialize(first=st.dictionaries(keys, images, max_size=3))
    def begin(self, first: dict[Key, str]) -> None:
        self.world = JudgedWorld()
        self.world.open(first)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.world.check_converged()
        finally:
            self.world.close()

    # --- the primary, and what becomes of its notifications ---------------------------------------

    @rule(key=keys, image=images, fate=fates, pulled=pulls)
    def push(self, key: Key, image: str, fate: str, pulled: list[Key]) -> None:
        """A tag is new, moves on, or back to what it named before."""
        self._tell(self.world.push(key, image), fate)
        self._pull(pulled)

    @rule(key=keys, fate=fates, pulled=pulls)
    def delete_tag(self, key: Key, fate: str, pulled: list[Key]) -> None:
        if self.world.histories[key].current is not None:
            self._tell(self.world.delete_tag(key), fate)
            self._pull(pulled)

    @precondition(lambda self: self.world.replica.is_up and not self.world.is_away)
    @rule(key=keys, image=images, fate=fates, pulled=pulls)
    def push_through(self, key: Key, image: str, fate: str, pulled: list[Key]) -> None:
        """A client of this region pushes."""
        self._tell(self.world.push_through(key, image), fate)
        self._pull([key, *pulled])

    @precondition(lambda self: self.world.replica.is_up and not self.world.is_away)
    @rule(key=keys, fate=fates, pulled=pulls)
    def delete_through(self, key: Key, fate: str, pulled: list[Key]) -> None:
        if self.world.histories[key].current is not None:
            self._tell(self.world.delete_through(key), fate)
            self._pull([key, *pulled])

    @rule(repository=repositories, image=images, fate=fates, pulled=pulls)
    def delete_manifest(self, repository: str, image: str, fate: str, pulled: list[Key]) -> None:
        if self.world.has(repository, image):
            self._tell(self.world.delete_manifest(repository, image), fate)
            self._pull(pulled)

    @rule(repository=repositories, fate=fates, pulled=pulls)
    def delete_repository(self, repository: str, fate: str, pulled: list[Key]) -> None:
        if self.world.has(repository):
            self._tell(self.world.delete_repository(repository), fate)
            self._pull(pulled)

    def _tell(self, document: Document, fate: str) -> None:
        document = {**document, "source": {"id": self.numbers.next()}}
        if fate == "late":
            self.late.append(document)
        elif fate in ("sent", "doubled"):
            self._send(document)
        if fate == "doubled":
            self._send({**document, "source": {"id": self.numbers.next()}})

    def _send(self, document: Document) -> None:
        if self.world.send(document):
            self.sent.append(document)

    @precondition(lambda self: self.late)
    @rule(number=st.integers(0, 5), pulled=pulls)
    def arrive(self, number: int, pulled: list[Key]) -> None:
        """A late notification arrives, in any order."""
        self._send(self.late.pop(number % len(self.late)))
        self._pull(pulled)

    @precondition(lambda self: self.sent and self.world.hub.is_up)
    @rule(number=st.integers(0, 20), is_new=st.booleans(), pulled=pulls)
    def replay(self, number: int, is_new: bool, pulled: list[Key]) -> None:
        """C18: what was said before is said again, of a state that may be long gone."""
        document = self.sent[number % len(self.sent)]
        source = {"id": self.numbers.next()} if is_new else document["source"]
        self.world.send({**document, "source": source})
        self._pull(pulled)

    @precondition(lambda self: self.world.hub.is_up)
    @rule(key=keys, headers=st.sampled_from(FORGERIES))
    def forge(self, key: Key, headers: dict[str, str]) -> None:
        """C18: who isn't the primary's sender changes nothing."""
        repository, tag = key
        document = {"version": 1, "event": "tag.deleted", "repository": repository, "tag": tag}
        before = self.world.hub.head
        assert self.world.hub.post(document, **headers)[0] == 401
        assert self.world.hub.head == before

    @precondition(lambda self: not self.world.is_away)
    @rule(pulled=pulls)
    def primary_goes_away(self, pulled: list[Key]) -> None:
        self.world.go_away()
        self._pull(pulled)

    @precondition(lambda self: self.world.is_away)
    @rule(pulled=pulls)
    def primary_comes_back(self, pulled: list[Key]) -> None:
        self.world.come_back()
        self._pull(pulled)

    # --- the hub ----------------------------------------------------------------------------------

    @precondition(lambda self: self.world.hub.is_up)
    @rule(pulled=pulls)
    def hub_goes_away(self, pulled: list[Key]) -> None:
        self.world.hub.stop()
        self._pull(pulled)

    @precondition(lambda self: not self.world.hub.is_up)
    @rule(how=st.sampled_from(list(Return)), pulled=pulls)
    def hub_comes_back(self, how: Return, pulled: list[Key]) -> None:
        self.world.hub.come_back(how)
        self._pull(pulled)

    @precondition(lambda self: self.world.hub.is_up)
    @rule(keep=st.integers(1, 3))
    def truncate(self, keep: int) -> None:
        self.world.hub.truncate(keep)

    # --- the replica ------------------------------------------------------------------------------

    @precondition(lambda self: self.world.replica.is_up)
    @rule(turns=st.integers(0, 2_000))
    def kill(self, turns: int) -> None:
        self.world.note_told()
        self.world.replica.kill(turns)

    @precondition(lambda self: self.world.replica.is_up)
    @rule()
    def stop(self) -> None:
        self.world.replica.stop()

    @precondition(lambda self: not self.world.replica.is_up)
    @rule(loses=st.sampled_from([False, False, True]), pulled=pulls)
    def start(self, loses: bool, pulled: list[Key]) -> None:
        if loses:
            self.world.replica.lose_sidecar()
        self.world.replica.start()
        self._pull(pulled)

    @rule(pulled=st.lists(keys, min_size=1, max_size=4))
    def pull(self, pulled: list[Key]) -> None:
        self._pull(pulled)

    def _pull(self, pulled: list[Key]) -> None:
        if self.world.replica.is_up:
            for key in pulled:
                self.world.pull(key)

    @precondition(lambda self: self.world.replica.is_up)
    @rule(key=keys)
    def pull_whole(self, key: Key) -> None:
        self.world.pull_whole(key)

    @precondition(lambda self: self.world.replica.is_up)
    @rule(
        waiting=st.lists(keys, min_size=1, max_size=3),
        moved=st.lists(st.tuples(keys, images, fates), max_size=2),
        pulled=pulls,
    )
    def answer_slowly(
        self,
        waiting: list[Key],
        moved: list[tuple[Key, str, str]],
        pulled: list[Key],
    ) -> None:
        """The primary's answers, once decided, stay on their way while its tags move."""
        with self.world.slow_answers(waiting):
            for key, image, fate in moved:
                self._tell(self.world.push(key, image), fate)
        self._pull(pulled)

    # --- time -------------------------------------------------------------------------------------

    @rule(
        seconds=st.sampled_from([1.0, 6.0, TTL, IDLE_VERIFY, RECONCILE_EVERY, 86_400.0]),
        pulled=pulls,
    )
    def pass_time(self, seconds: float, pulled: list[Key]) -> None:
        self.world.pass_time(seconds)
        self._pull(pulled)

    @precondition(lambda self: self.world.replica.is_up and self.world.hub.is_up)
    @rule(pulled=pulls)
    def keep_up(self, pulled: list[Key]) -> None:
        """All that the hub has is taken, and a lease is there."""
        self.world.wait_current()
        self.world.wait_leased()
        self._pull(pulled)

    @precondition(lambda self: self.world.replica.is_up and not self.world.is_away)
    @rule(pulled=pulls)
    def compare(self, pulled: list[Key]) -> None:
        self.world.reconcile()
        self._pull(pulled)

    @invariant()
    def links_are_right(self) -> None:
        if hasattr(self, "world"):
            self.world.check_links()


TestConvergence = pytest.mark.timeout(7200 if IS_SOAK else 120)(Convergence.TestCase)
TestConvergence.settings = settings(
    max_examples=300 if IS_SOAK else 6,
    stateful_step_count=60 if IS_SOAK else 25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # real time doesn't shrink
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
