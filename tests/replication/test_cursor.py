"""Places in the log and what stands there: what is read, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.events.cursor import MAX_SEQ, Cursor, CursorInvalid
from proxy.events.event import ManifestPushed
from proxy.events.wire import event_to_json
from proxy.oci.reference import Repository, Tag
from proxy.replication.cursor import Notice, notice_of

PUSHED = ManifestPushed(Repository("team/app"), Tag("v1"))


@given(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True), st.integers(0, MAX_SEQ))
def test_a_cursor_is_read_as_it_is_written(epoch: str, seq: int) -> None:
    """EPOCH:SEQ, both ways."""
    assert Cursor.parse(str(Cursor(epoch, seq))) == Cursor(epoch, seq)


@pytest.mark.parametrize(
    "text",
    ["", ":", "e:", ":1", "1", "e:-1", "e:+1", "e: 1", "e:1 ", "e:1\n", "e\n:1", "e:1.0", "a b:1",
     "e:x:1", f"e:{MAX_SEQ + 1}", "e:\u0661", "e" * 65 + ":1"],
)  # fmt: skip
def test_other_text_is_no_cursor(text: str) -> None:
    """Only the whole form is taken."""
    with pytest.raises(CursorInvalid):
        Cursor.parse(text)


@pytest.mark.parametrize(
    ("epoch", "seq"), [(None, 1), (1, 1), ("e", None), ("e", True), ("e", 1.0), ("e", "1")]
)
def test_values_of_other_kinds_are_no_cursor(epoch: object, seq: object) -> None:
    """Nor is a document's epoch or number of another kind."""
    with pytest.raises(CursorInvalid):
        Cursor.of(epoch, seq)


@pytest.mark.parametrize(
    ("at", "other", "expected"),
    [("e:5", "e:5", True), ("e:6", "e:5", True), ("e:4", "e:5", False), ("f:9", "e:5", False)],
)
def test_a_place_is_reached_within_one_log(at: str, other: str, expected: bool) -> None:
    """Another epoch's numbers say nothing."""
    assert Cursor.parse(at).has_reached(Cursor.parse(other)) is expected


def test_an_entry_is_read() -> None:
    """The hub's data gives place, time and event; the event's source isn't needed."""
    data = {"received_at": 12.5, "event": {**event_to_json(PUSHED), "source": {"sender": "x"}}}
    assert notice_of("e:3", json.dumps(data)) == Notice(Cursor("e", 3), 12.5, PUSHED)


@pytest.mark.parametrize(
    "data",
    ["", "x", "[]", "3", "{}", "[" * 100_000, '{"received_at": true, "event": {}}',
     '{"received_at": 1}', '{"received_at": 1, "event": []}', '{"received_at": 1, "event": 3}',
     '{"received_at": 1, "event": {"version": 2, "event": "tag.renamed"}}'],
)  # fmt: skip
def test_an_entry_that_cant_be_read_keeps_its_place(data: str) -> None:
    """An event of a newer hub counts as lost; the log goes on behind it."""
    assert notice_of("e:3", data) == Notice(Cursor("e", 3), 0.0, None)


@pytest.mark.parametrize(
    ("only", "region", "is_ours"),
    [
        ({}, "ap-here", True),
        ({"only": "ap-here"}, "ap-here", True),
        ({"only": "ap-there"}, "ap-here", False),
        ({"only": "ap-there"}, "", True),
    ],
)
@pytest.mark.parametrize("event", [event_to_json(PUSHED), {"version": 2, "event": "tag.renamed"}])
def test_an_entry_for_another_region_is_passed_over(only, region, is_ours, event) -> None:
    """What is for another region's replica has a place and no event, and nothing is lost by it, be
    it understood or not.
    """
    found = notice_of("e:3", json.dumps({"received_at": 12.5, **only, "event": event}), region)
    assert found.cursor == Cursor("e", 3)
    assert (found.event is not None) is (is_ours and "repository" in event)
    assert found.is_lost is (is_ours and "repository" not in event)


@pytest.mark.parametrize("place", ["", "e:0", "3", "e:x"])
def test_an_entry_without_a_place_is_refused(place: str) -> None:
    """Without a place nothing can be told about gaps."""
    with pytest.raises(CursorInvalid):
        notice_of(place, "{}")
