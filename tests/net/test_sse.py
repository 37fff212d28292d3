"""Server-sent events: what the HTML Standard says a stream means, however it is cut."""

import re
from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.net.sse import EventParser, ServerEvent, StreamInvalid

MEANT = {
    b"data: a\n\n": [ServerEvent("a")],
    b"data:a\n\n": [ServerEvent("a")],
    b"data:  a\n\n": [ServerEvent(" a")],
    b"data: a\r\rdata: b\r\n\r\n": [ServerEvent("a"), ServerEvent("b")],
    b"data: a\ndata: b\n\n": [ServerEvent("a\nb")],
    b"data\n\n": [ServerEvent("")],
    b"data\ndata\n\n": [ServerEvent("\n")],
    b"event: notice\ndata: a\n\ndata: b\n\n": [ServerEvent("a", "notice"), ServerEvent("b")],
    b"event: lost\n\ndata: a\n\n": [ServerEvent("a")],
    b"id: e:7\ndata: a\n\ndata: b\n\n": [ServerEvent("a", id="e:7"), ServerEvent("b", id="e:7")],
    b"id: 7\n\ndata: a\n\n": [ServerEvent("a", id="7")],
    b"id: 7\ndata: a\n\nid\ndata: b\n\n": [ServerEvent("a", id="7"), ServerEvent("b")],
    b"id: 7\nid: 8\0\ndata: a\n\n": [ServerEvent("a", id="7")],
    b": comment\n:\ndata: a\n\n": [ServerEvent("a")],
    b"other: x\nDATA: x\n data: x\ndata: a\n\n": [ServerEvent("a")],
    b"\xef\xbb\xbfdata: a\n\n": [ServerEvent("a")],
    b"data: \xef\xbb\xbf\n\n": [ServerEvent("\ufeff")],
    b"data: \xc3\xa9\xff\n\n": [ServerEvent("\u00e9\ufffd")],
    b"data: cut off\n": [],
    b"data: cut off": [],
    b"\n\n\r\r\n": [],
}
RETRIES = {
    b"retry: 1500\n": 1.5,
    b"retry:0\n": 0.0,
    b"retry: 15\nretry: x\n": 0.015,
    b"retry: -1\n": None,
    b"retry: 1.5\n": None,
    b"retry:  15\n": None,
    "retry: \u0665\n".encode(): None,
    b"retry\n": None,
    b"retry: 99999999999\n": None,
}
LINE_ENDS = re.compile("\r\n|\r|\n")


def fed(*chunks: bytes) -> list[ServerEvent]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize("stream", MEANT, ids=repr)
def test_a_stream_means_what_the_standard_says(stream: bytes) -> None:
    """Fields, comments, line ends, byte order mark, unfinished events: as the standard has it."""
    assert fed(stream) == MEANT[stream]


@pytest.mark.parametrize("stream", MEANT, ids=repr)
def test_cuts_change_nothing(stream: bytes) -> None:
    """Byte by byte, and cut in two anywhere, a stream means the same."""
    assert fed(*(bytes([each]) for each in stream)) == MEANT[stream]
    for place in range(len(stream)):
        assert fed(stream[:place], b"", stream[place:]) == MEANT[stream]


@pytest.mark.parametrize("stream", RETRIES, ids=repr)
def test_a_time_to_come_again(stream: bytes) -> None:
    """`retry` is milliseconds in ASCII digits; anything else says nothing."""
    parser = EventParser()
    parser.feed(stream)
    assert parser.retry_seconds == RETRIES[stream]


def test_an_event_is_there_with_its_last_line() -> None:
    """No byte more is waited for than the one that ends the empty line, CR or not."""
    for end in (b"\n", b"\r", b"\r\n"):
        parser = EventParser()
        assert parser.feed(b"data: a" + end) == []
        assert parser.feed(end[:1]) == [ServerEvent("a")]
        assert parser.feed(end[1:] + b"data: b\r\r") == [ServerEvent("b")]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0\ufeff"), max_size=20)
line_ends = st.sampled_from(["\n", "\r", "\r\n"])
names = st.sampled_from(["data", "event", "id", "retry", "", "other", " data", "data "])
lines = st.one_of(st.just(""), texts, st.tuples(names, texts).map(": ".join))


def by_the_book(text: str) -> list[ServerEvent]:
    """Give the events of a whole stream, straight from the standard's algorithm."""
    found: list[ServerEvent] = []
    data, kind, last_id = "", "", ""
    for line in LINE_ENDS.split(text)[:-1]:
        if not line:
            if data:
                found.append(ServerEvent(data[:-1], kind or "message", last_id))
            data, kind = "", ""
        elif ":" in line:
            name, value = line.split(":", 1)
            value = value.removeprefix(" ")
            data, kind, last_id = (
                data + value + "\n" if name == "data" else data,
                value if name == "event" else kind,
                value if name == "id" else last_id,
            )
        elif line == "data":
            data += "\n"
        elif line == "event":
            kind = ""
        elif line == "id":
            last_id = ""
    return found


@given(
    st.lists(st.tuples(lines, line_ends), max_size=30).map(
        lambda pairs: "".join(line + end for line, end in pairs)
    ),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_any_stream_in_any_pieces(text: str, places: list[int]) -> None:
    """Whatever a stream says and wherever it is cut, it means what a slow and plain twin reads."""
    stream = text.encode()
    cuts = [0, *sorted(min(each, len(stream)) for each in places), len(stream)]
    chunks = [stream[start:stop] for start, stop in pairwise(cuts)]
    assert fed(*chunks) == by_the_book(text)


@given(st.lists(st.binary(max_size=64), max_size=16))
def test_any_bytes_are_read(chunks: list[bytes]) -> None:
    """No bytes make the parser fail within its bounds."""
    fed(*chunks)


@pytest.mark.parametrize("piece", [b"data: aaaa", b": aaaaaaa", b"aaaaaaaaaaaa"])
def test_a_line_without_end_is_given_up(piece: bytes) -> None:
    """C30: a line is held up to a bound, whether it would matter or not."""
    parser = EventParser(max_line_bytes=100)
    with pytest.raises(StreamInvalid):
        deque(map(parser.feed, [piece] * 20), maxlen=0)


def test_an_event_without_end_is_given_up() -> None:
    """C30: so is an event of ever more short lines."""
    parser = EventParser(max_event_bytes=100)
    with pytest.raises(StreamInvalid):
        deque(map(parser.feed, [b"data\n"] * 50), maxlen=0)


def test_bounds_count_anew_for_each() -> None:
    """Many lines and events below the bounds are never too much."""
    parser = EventParser(max_line_bytes=10, max_event_bytes=20)
    assert len([event for _ in range(100) for event in parser.feed(b"data: a\n\n")]) == 100
