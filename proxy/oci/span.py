"""Byte ranges: what a client asks for and what it gets.

Spans are half-open, in bytes; HTTP's are inclusive (RFC 9110, 14.1.2 and 14.4).
"""

import re
from dataclasses import dataclass

from proxy.oci.errors import BadRequest, RangeInvalid

_ONE_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,19})-([0-9]{0,19})[ \t]*")
# 18 digits: more than any content has, less than what `len` can't count
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class ByteSpan:
    """Bytes `start` up to, not including, `stop`."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """Give the Content-Range header for content of *size* bytes."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


@dataclass(frozen=True, slots=True)
class RangeRequest:
    """A Range header before the size is known: first and last as sent, either may be absent."""

    first: int | None
    last: int | None

    def on(self, size: int) -> ByteSpan:
        """Give the part of content of *size* bytes that is asked for.

        Raises: RangeInvalid: nothing of it lies inside.
        """
        if self.first is None:
            suffix = min(self.last or 0, size)
            start, stop = size - suffix, size
        else:
            start = self.first
            stop = size if self.last is None else min(self.last + 1, size)
        if start >= stop:
            raise RangeInvalid(size)
        return ByteSpan(start, stop)


def parse_range(header: str) -> RangeRequest | None:
    """Read a Range header; None where RFC 9110 says to ignore it (another unit, bad syntax).

    Raises: BadRequest: several ranges. Lazy-pulling clients fall back to single ranges on 400.
    """
    if not header.startswith("bytes="):
        return None
    if "," in header:
        raise BadRequest("several ranges in one request are not supported")
    match = _ONE_RANGE.fullmatch(header)
    if match is None:
        return None
    first, last = (int(text) if text else None for text in match.groups())
    if first is None and last is None:
        return None
    if first is not None and last is not None and last < first:
        return None
    return RangeRequest(first, last)


def parse_content_range(header: str) -> tuple[ByteSpan, int] | None:
    """Read a Content-Range header: the span and the whole size; None if it is no such thing."""
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None:
        return None
    first, last, size = map(int, match.groups())
    if not first <= last < size:
        return None
    return ByteSpan(first, last + 1), size
