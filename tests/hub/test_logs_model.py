"""The replication log against a model: whatever is reported, pages and followers tell the truth."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import create_engine

from hub.history import works
from hub.history.forms import Entry, EntryState, LogsQuery, Trigger, What
from hub.schema import metadata

REPLICAS = ("p-1", "p-2")
KEYS = st.tuples(st.sampled_from(REPLICAS), st.sampled_from("abcdef"))
STATES = st.sampled_from(EntryState)


def entry_of(replica: str, entry_id: str, state: EntryState) -> Entry:
    return Entry(
        id=entry_id,
        replica=replica,
        region=f"region-{replica}",
        repository="shop/api",
        what=What.IMAGE,
        trigger=Trigger.EVENT,
        state=state,
    )


class LogModel(RuleBasedStateMachine):
    """model: entries by replica and id, in the order of their first report."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = create_engine("sqlite://").connect()
        metadata.create_all(self.connection)
        self.model: dict[tuple[str, str], EntryState] = {}
        self.changed_at: dict[tuple[str, str], float] = {}
        self.followed: dict[tuple[str, str], EntryState] = {}
        self.revision = "0"
        self.now = 0.0

    def teardown(self) -> None:
        engine = self.connection.engine
        self.connection.close()
        engine.dispose()

    @rule(
        replica=st.sampled_from(REPLICAS),
        said=st.lists(st.tuples(st.sampled_from("abcdef"), STATES)),
    )
    def report(self, replica: str, said: list[tuple[str, EntryState]]) -> None:
        self.now += 1
        entries = [entry_of(replica, entry_id, state) for entry_id, state in said]
        changes = works.put(self.connection, entries, self.now)
        last = {(replica, entry_id): state for entry_id, state in said}
        expected = {key: state for key, state in last.items() if self.model.get(key) is not state}
        told = {(each.entry.replica, each.entry.id): each.entry.state for each in changes}
        assert told == expected
        for each in changes:
            assert each.before is self.model.get((each.entry.replica, each.entry.id))
        self.model |= expected
        self.changed_at |= dict.fromkeys(expected, self.now)

    @rule(limit=st.integers(1, 5))
    def follow(self, limit: int) -> None:
        query = LogsQuery(follow=self.revision, limit=limit)
        page = works.page(self.connection, query)
        assert int(page.next or 0) >= int(self.revision)
        for each in page.entries:
            self.followed[each.replica, each.id] = each.state
        self.revision = page.next or self.revision

    @rule(age=st.integers(1, 4))
    def trim(self, age: int) -> None:
        before = self.now - age
        works.trim(self.connection, before, 1_000)
        for key, changed_at in list(self.changed_at.items()):
            if changed_at < before:
                del self.model[key], self.changed_at[key]
                self.followed.pop(key, None)

    @rule(limit=st.integers(1, 5), state=st.none() | STATES)
    def pages(self, limit: int, state: EntryState | None) -> None:
        seen: list[Any] = []
        after = None
        while True:
            query = LogsQuery(after=after, limit=limit, state=state)
            page = works.page(self.connection, query)
            seen += [((each.replica, each.id), each.state) for each in page.entries]
            after = page.next
            if after is None:
                break
        expected = [pair for pair in self.model.items() if state in (None, pair[1])]
        assert seen == expected[::-1]

    @invariant()
    def a_follower_that_has_caught_up_knows_everything(self) -> None:
        end = works.page(self.connection, LogsQuery(limit=1)).revision
        if self.revision == end:
            assert self.followed == self.model


TestLogModel = LogModel.TestCase
TestLogModel.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
