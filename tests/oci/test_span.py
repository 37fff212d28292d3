"""Byte ranges against what slices of bytes give (RFC 9110, 14.1.2, 14.2 and 14.4)."""

import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.oci.errors import BadRequest, RangeInvalid
from proxy.oci.span import ByteSpan, RangeRequest, parse_content_range, parse_range

HUGE = 10**19 - 1  # the largest number of 19 digits: more than a signed 64-bit integer holds

sizes = st.binary(max_size=40)
positions = st.one_of(st.integers(0, 50), st.integers(2**31 - 2, 2**64), st.just(HUGE))
optional_positions = st.none() | positions


def slice_of(data: bytes, first: int | None, last: int | None) -> bytes:
    """The obvious answer: what a range of RFC 9110 takes from *data*."""
    if first is None:
        return data[max(0, len(data) - (last or 0)) :]
    return data[first:] if last is None else data[first : last + 1]


def header_of(first: int | None, last: int | None) -> str:
    return f"bytes={'' if first is None else first}-{'' if last is None else last}"


@given(data=sizes, first=optional_positions, last=optional_positions)
@example(data=b"abc", first=HUGE, last=HUGE)
@example(data=b"abc", first=None, last=HUGE)
@example(data=b"abc", first=0, last=HUGE)
@example(data=b"abc", first=2**64 - 1, last=2**64 + 1)
@example(data=b"", first=None, last=1)
@example(data=b"", first=0, last=None)
def test_range_is_the_slice(data: bytes, first: int | None, last: int | None) -> None:
    """A range gives the bytes that a slice gives, never a byte outside, whatever the numbers are
    (CVE-2017-7529); one that takes no byte is 416 with the size.
    """
    asked = parse_range(header_of(first, last))
    if asked is None:
        is_reversed = first is not None and last is not None and last < first
        is_too_long = any(number is not None and number > HUGE for number in (first, last))
        assert is_reversed or is_too_long or first is last is None
        return
    expected = slice_of(data, first, last)
    if not expected:
        with pytest.raises(RangeInvalid) as refused:
            asked.on(len(data))
        assert refused.value.headers["Content-Range"] == f"bytes */{len(data)}"
        return
    span = asked.on(len(data))
    assert 0 <= span.start < span.stop <= len(data)
    assert data[span.start : span.stop] == expected
    assert len(span) == len(expected)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=0",
        "bytes=1-0",
        "bytes=--1",
        "bytes=0--1",
        "bytes=-0-",
        "bytes=+1-2",
        "bytes=0x0-0x1",
        "bytes=1.0-2",
        "bytes=1_0-20",
        "bytes=0 - 1",
        "bytes =0-1",
        "bytes=0-1\n",
        "bytes=0-1;",
        "bytes=\u0661-\u0662",
        "items=0-1",
        "seconds=0-1",
        f"bytes=0-{10**19}",
        f"bytes={'9' * 5000}-",
        f"bytes=-{'9' * 100_000}",
    ],
)
def test_what_is_no_range_is_ignored(header: str) -> None:
    """A Range header that can't be read is answered as if it weren't there (RFC 9110, 14.2)."""
    assert parse_range(header) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", RangeRequest(0, 0)),
        ("bytes=5-", RangeRequest(5, None)),
        ("bytes=-5", RangeRequest(None, 5)),
        ("bytes= 0-1", RangeRequest(0, 1)),
        ("bytes=0-1 \t", RangeRequest(0, 1)),
        ("bytes=007-09", RangeRequest(7, 9)),
        (f"bytes={HUGE}-{HUGE}", RangeRequest(HUGE, HUGE)),
    ],
)
def test_range_is_read(header: str, expected: RangeRequest) -> None:
    """The three forms of a range, with the spaces that a list may have around its element."""
    assert parse_range(header) == expected


@pytest.mark.parametrize("header", ["bytes=0-1,3-4", "bytes=0-1,", "bytes=,", "bytes=0-,-1"])
def test_several_ranges_are_refused(header: str) -> None:
    """Several ranges are 400, on which lazy-pulling clients fall back to single ones."""
    with pytest.raises(BadRequest):
        parse_range(header)


@given(header=st.text(max_size=40) | st.text("bytes=-,0123456789 \t", max_size=40))
def test_any_header_is_read_or_ignored(header: str) -> None:
    """No text makes the parser fail in another way than by the refusal of several ranges."""
    try:
        found = parse_range(header)
    except BadRequest:
        assert "," in header
        return
    if found is not None:
        assert parse_range(header_of(found.first, found.last)) == found


@given(size=st.integers(1, 10**18 - 1), data=st.data())
def test_content_range_is_read_back(size: int, data: st.DataObject) -> None:
    """What we say of a span is what is read from it, in inclusive positions."""
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    header = ByteSpan(start, stop).content_range(size)
    assert header == f"bytes {start}-{stop - 1}/{size}"
    assert parse_content_range(header) == (ByteSpan(start, stop), size)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes 0-1",
        "bytes 0-1/*",
        "bytes */10",
        "bytes=0-1/10",
        "bytes 0-10/10",
        "bytes 5-4/10",
        "bytes -1/10",
        "bytes 0-1/-1",
        "bytes 0-1/2/3",
        "bytes 0 - 1/2",
        "items 0-1/2",
        "bytes \u0660-1/2",
        "bytes 0-1/2, bytes 2-3/4",
        f"bytes 0-1/{10**19}",
    ],
)
def test_what_is_no_content_range_is_told(header: str) -> None:
    """A Content-Range that is inconsistent, or of unknown size, is none."""
    assert parse_content_range(header) is None


@given(first=st.integers(0, HUGE), last=st.integers(0, HUGE), size=st.integers(0, HUGE))
@example(first=0, last=HUGE - 1, size=HUGE)
def test_span_of_a_content_range_has_a_length(first: int, last: int, size: int) -> None:
    """A span that the primary names can be measured: it is never longer than Python can count."""
    found = parse_content_range(f"bytes {first}-{last}/{size}")
    if found is not None:
        assert len(found[0]) == last - first + 1 <= sys.maxsize
