"""The segments of a flight: which bytes are here, which are asked for, which come next.

Rules:
- A byte is handed out once; only what broke off is handed out again.
- Segments are handed out in order, since followers wait for the lowest byte that is missing. What
  a reader of a part waits for goes before that.
- They get shorter towards the end, so that no connection is left alone with much of it.

Plain state, no I/O: nothing here awaits.
"""

from bisect import bisect_right
from collections.abc import Iterator

from proxy.oci.span import ByteSpan, RangeRequest

LONGEST_BYTES = 8 << 20
SHORTEST_BYTES = 1 << 20
MAX_WANTED = 1000


class SpanSet:
    """Bytes by their positions: disjoint spans in order, touching ones joined."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []

    def add(self, span: ByteSpan) -> None:
        """Include the bytes of *span*."""
        start, stop = span.start, span.stop
        low = bisect_right(self._starts, start)
        if low and self._stops[low - 1] >= start:
            low -= 1
        high = bisect_right(self._starts, stop)
        if low < high:
            start = min(start, self._starts[low])
            stop = max(stop, self._stops[high - 1])
        self._starts[low:high] = [start]
        self._stops[low:high] = [stop]

    def end_of(self, position: int) -> int:
        """Give where the bytes that go on from *position* end; *position* itself: it isn't here."""
        index = bisect_right(self._starts, position) - 1
        return max(position, self._stops[index]) if index >= 0 else position

    def gaps(self, start: int, stop: int) -> Iterator[ByteSpan]:
        """Give what is missing between *start* and *stop*, in order."""
        position = self.end_of(start)
        while position < stop:
            index = bisect_right(self._starts, position)
            end = min(stop, self._starts[index]) if index < len(self._starts) else stop
            yield ByteSpan(position, end)
            position = self.end_of(end)


def first_segment(wanted: RangeRequest) -> RangeRequest:
    """Give the part that is asked for before the size is known."""
    if wanted.first is None:
        return wanted
    longest = wanted.first + LONGEST_BYTES - 1
    return RangeRequest(wanted.first, min(longest, wanted.last or longest))


class Segments:
    """The bytes of one blob of *size*, handed out in segments; the first *here* are here."""

    def __init__(self, size: int, here: int = 0) -> None:
        self.size = size
        self._unasked_bytes = size - here
        self._handed_out = SpanSet()
        self._broken_off: list[ByteSpan] = []
        self._wanted: dict[ByteSpan, None] = {}
        if here:
            self._handed_out.add(ByteSpan(0, here))

    @property
    def unasked_bytes(self) -> int:
        """How many bytes nobody is asked for."""
        return self._unasked_bytes

    def want(self, span: ByteSpan) -> None:
        """Bring the bytes of *span* before all others."""
        self._wanted.pop(span, None)
        self._wanted[span] = None
        if len(self._wanted) > MAX_WANTED:
            del self._wanted[next(iter(self._wanted))]

    def next(self, lanes: int, shortest: int = SHORTEST_BYTES) -> ByteSpan | None:
        """Hand out what is to be asked for next, where so many are at work; None: all is.

        Below *shortest* bytes a request would cost more time than what it brings.
        """
        if self._broken_off:
            span = min(self._broken_off, key=lambda each: each.start)
            self._broken_off.remove(span)
            self._unasked_bytes -= len(span)
            return span
        gap = self._first_gap()
        if gap is None:
            return None
        share = self._unasked_bytes // (2 * lanes)
        length = min(LONGEST_BYTES, max(SHORTEST_BYTES, shortest, share))
        return self.take(ByteSpan(gap.start, min(gap.stop, gap.start + length)))

    def take(self, span: ByteSpan) -> ByteSpan:
        """Hand out *span*, of which nothing was handed out before."""
        self._handed_out.add(span)
        self._unasked_bytes -= len(span)
        return span

    def give_back(self, span: ByteSpan) -> None:
        """Note that *span* was handed out and won't come from there."""
        if span:
            self._broken_off.append(span)
            self._unasked_bytes += len(span)

    def _first_gap(self) -> ByteSpan | None:
        while self._wanted:
            wanted = next(reversed(self._wanted))
            gap = next(self._handed_out.gaps(wanted.start, wanted.stop), None)
            if gap is not None:  # more than what is wanted: a request is worth a MiB
                return next(self._handed_out.gaps(gap.start, self.size), None)
            del self._wanted[wanted]
        return next(self._handed_out.gaps(0, self.size), None)
