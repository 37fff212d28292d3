"""Segments: every byte is handed out once, the wanted ones first, broken ones again."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.span import ByteSpan
from proxy.registry.segments import LONGEST_BYTES, SHORTEST_BYTES, Segments, SpanSet

MIB = 1 << 20
spans = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda t: ByteSpan(t[0], sum(t)))


@given(st.lists(spans), st.integers(0, 90))
def test_a_set_of_spans_is_a_set_of_bytes(added: list[ByteSpan], position: int) -> None:
    """Against a plain set of integers: what is in, how far it goes on, what is missing."""
    found, plain = SpanSet(), set()
    for span in added:
        found.add(span)
        plain.update(range(span.start, span.stop))
    end = position
    while end in plain:
        end += 1
    assert found.end_of(position) == end
    missing = [each for gap in found.gaps(position, 90) for each in range(gap.start, gap.stop)]
    assert missing == [each for each in range(position, 90) if each not in plain]
    gaps = list(found.gaps(0, 90))
    assert all(one.stop < other.start for one, other in pairwise(gaps))


@given(
    st.integers(1, 200 * MIB),
    st.lists(st.tuples(st.integers(1, 8), st.floats(0, 1), st.integers(0, 200 * MIB))),
)
def test_every_byte_is_handed_out_once(size: int, steps: list[tuple[int, float, int]]) -> None:
    """Whatever is wanted, breaks and comes back meanwhile: the parts that came make the whole."""
    segments = Segments(size)
    came: list[ByteSpan] = []
    plan = iter(steps)
    while True:
        lanes, share, wanted = next(plan, (2, 1.0, 0))
        if wanted < size:
            segments.want(ByteSpan(wanted, min(size, wanted + MIB)))
        span = segments.next(lanes)
        if span is None:
            break
        assert 0 < len(span) <= LONGEST_BYTES
        middle = span.start + int(len(span) * share)
        came.append(ByteSpan(span.start, middle))
        segments.give_back(ByteSpan(middle, span.stop))
    assert segments.unasked_bytes == 0
    position = 0
    for span in sorted((each for each in came if each), key=lambda each: each.start):
        assert span.start == position
        position = span.stop
    assert position == size


def test_segments_come_in_order_and_get_shorter() -> None:
    """Without anything that is wanted first, the lowest missing byte is next."""
    segments = Segments(100 * MIB)
    handed = []
    while (span := segments.next(4)) is not None:
        handed.append(span)
    assert [span.start for span in handed[1:]] == [span.stop for span in handed[:-1]]
    lengths = [len(span) for span in handed]
    assert lengths == sorted(lengths, reverse=True)
    assert (lengths[0], lengths[-2]) == (LONGEST_BYTES, SHORTEST_BYTES)


def test_what_a_reader_waits_for_comes_first() -> None:
    """The latest wish goes first, then earlier ones, then the rest; what is here isn't asked."""
    segments = Segments(100 * MIB, here=MIB)
    segments.want(ByteSpan(0, MIB))
    segments.want(ByteSpan(50 * MIB, 51 * MIB))
    segments.want(ByteSpan(70 * MIB, 70 * MIB + 10))
    starts = [span.start for _ in range(3) if (span := segments.next(2))]
    assert starts == [70 * MIB, 50 * MIB, MIB]


def test_what_broke_off_is_the_next() -> None:
    """The rest of a segment that broke is handed out again, before anything new."""
    segments = Segments(100 * MIB)
    first = segments.next(2)
    assert first is not None
    segments.give_back(ByteSpan(5, first.stop))
    assert segments.next(2) == ByteSpan(5, first.stop)
    following = segments.next(2)
    assert following is not None
    assert following.start == first.stop
