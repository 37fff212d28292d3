"""Lanes: the connections over which one flight brings its segments.

Rules:
- A flight begins with as many lanes as were worth it lately, and doubles them as long as that
  brings more: what one connection can't use of a link, several can.
- A lane asks for its next segment while the last bytes of this one are on their way.
- A primary that asks for less (429, 503 with Retry-After) gets less, at once and for minutes.
- A lane that breaks goes on from its byte. While others are at work it may give up: its rest is
  theirs, and nobody takes its place. The last one fails with what it met.
- All flights together have a bounded number of lanes: many flights use a link by themselves.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from proxy.net.session import LinkBroken
from proxy.net.weather import LinkWeather, Weather
from proxy.oci.errors import ContentMismatch, StoreUnavailable, TooManyRequests, Unavailable
from proxy.oci.span import ByteSpan
from proxy.registry.breaks import Breaks
from proxy.registry.climb import Climb, LaneBudget
from proxy.registry.ending import to_its_end
from proxy.registry.pace import Pace
from proxy.registry.puller import Stream
from proxy.registry.segments import Segments
from proxy.registry.spool import SpoolFile

TICK_SECONDS = 0.02
TELLING_BYTES = 4 << 20
TELLING_SECONDS = 0.02


Opening = asyncio.Task[Stream]


@dataclass(frozen=True, slots=True)
class LaneRules:
    """What flights share: the weather, the budget, the most lanes of one, the pace of those that
    nobody waits for; its breaks are told.
    """

    weather: LinkWeather
    budget: LaneBudget
    most: int
    pace: Pace
    note_break: Callable[[], None]


@dataclass(slots=True)
class _Lane:
    """What one lane has behind it."""

    breaks: Breaks = field(default_factory=Breaks)
    received: int = 0
    is_flowing: bool = False
    ahead: tuple[ByteSpan, Opening] | None = None


class Lanes:
    """One flight's lanes at work. *ask* opens a span at the primary; *is_awaited* tells whether a
    client waits for it.
    """

    def __init__(
        self,
        segments: Segments,
        spool: SpoolFile,
        ask: Callable[[ByteSpan], Coroutine[Any, Any, Stream]],
        rules: LaneRules,
        weather: Weather,
        is_awaited: Callable[[], bool],
    ) -> None:
        self._is_awaited = is_awaited
        self._segments = segments
        self._spool = spool
        self._ask = ask
        self._rules = rules
        self._weather = weather
        self._climb = Climb(weather.lanes, weather.most_lanes(rules.most))
        self._tasks: set[asyncio.Task[None]] = set()
        self._active = 0
        self._ahead = 0
        self._flowing = 0
        self._received = 0
        self._window = (0, 0.0, 0)
        self._started_at = self._flows_since = 0.0
        self._is_alone_measured = False

    async def run(self, first: Stream) -> None:
        """Bring all of it; *first* is the stream of a span that was handed out.

        Raises: Unavailable: the last lane that was left met it. ContentMismatch. StoreUnavailable.
        """
        clock = asyncio.get_running_loop().time
        self._started_at = clock()
        self._start(first.span, asyncio.create_task(_given(first)))
        try:
            while self._tasks:
                self._add_lanes()
                done, self._tasks = await asyncio.wait(
                    self._tasks, timeout=TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    task.result()
                self._measure(clock())
                if not self._tasks:
                    self._add_lanes()  # the last one gave its rest back
        finally:
            await to_its_end(self._end(first))
        if self._received >= TELLING_BYTES:
            self._weather.note_lanes(self._climb.lanes)
            self._weather.note_rate(self._received / (clock() - self._started_at))

    async def _end(self, first: Stream) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await first.aclose()  # its lane may not have come to its first step

    def _start(self, span: ByteSpan, opening: Opening | None) -> None:
        self._active += 1
        self._rules.budget.take()
        task = asyncio.create_task(self._lane(span, opening))
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._rules.budget.give_back())

    def _add_lanes(self) -> None:
        while self._active < self._climb.lanes and self._segments.unasked_bytes:
            if self._active and self._rules.budget.is_used_up:
                return
            span = self._next()
            if span is None:
                return
            self._start(span, None)

    def _next(self) -> ByteSpan | None:
        """Hand out a segment that takes a lane two round trips at least."""
        shortest = 2 * self._weather.round_trip * self._lane_rate()
        return self._segments.next(self._climb.lanes, int(shortest))

    def _measure(self, now: float) -> None:
        """Tell the climb the rate of a window in which all lanes were at work."""
        if self._climb.is_settled or not self._segments.unasked_bytes:
            return
        lanes, since, received = self._window
        is_whole = lanes == self._active == self._flowing == self._climb.lanes
        if is_whole and now - since < self._weather.window_seconds:
            return
        if is_whole:
            self._climb.measured((self._received - received) / (now - since))
        self._window = (self._active, now, self._received)

    # --- one lane ---------------------------------------------------------------------------------

    async def _lane(self, span: ByteSpan | None, opening: Opening | None) -> None:
        lane = _Lane()
        try:
            while span is not None:
                rest = await self._bring(lane, span, opening)
                if rest:
                    self._segments.give_back(rest)
                    return
                span, opening = self._following(lane)
        finally:
            self._active -= 1
            self._flowing -= lane.is_flowing
            await self._drop_ahead(lane)

    def _following(self, lane: _Lane) -> tuple[ByteSpan | None, Opening | None]:
        """Give the segment that is asked for already, or a new one unless lanes are too many."""
        if lane.ahead is not None:
            self._ahead -= 1
            ahead, lane.ahead = lane.ahead, None
            return ahead
        return (None if self._is_one_too_many else self._next()), None

    @property
    def _is_one_too_many(self) -> bool:
        if self._active == 1:
            return False
        return self._active > self._climb.lanes or self._rules.budget.is_overdrawn

    def _ask_ahead(self, lane: _Lane) -> None:
        if self._is_one_too_many or self._active + self._ahead >= self._climb.most:
            return
        span = self._next()
        if span is not None:
            self._ahead += 1
            lane.ahead = (span, asyncio.create_task(self._ask(span)))

    async def _drop_ahead(self, lane: _Lane) -> None:
        """Let go of what was asked for ahead; the others bring it."""
        if lane.ahead is None:
            return
        (span, opening), lane.ahead = lane.ahead, None
        self._ahead -= 1
        self._segments.give_back(span)
        await _close(opening)

    async def _bring(self, lane: _Lane, span: ByteSpan, opening: Opening | None) -> ByteSpan | None:
        """Bring a segment; give what is left of it if this lane gives up."""
        left = span
        while True:
            opening = opening or asyncio.create_task(self._ask(left))
            try:
                async for new in _new_bytes(await opening, left):
                    self._note_received(lane, len(new))
                    offset, left = left.start, ByteSpan(left.start + len(new), left.stop)
                    if lane.ahead is None and len(left) <= self._lead_bytes():
                        self._ask_ahead(lane)
                    await self._spool.write_at(offset, new)
                    if not self._is_awaited():
                        await self._rules.pace.take(len(new))
                if not left:
                    return None
                raise LinkBroken
            except StoreUnavailable:
                raise
            except Unavailable as exc:
                if not left:  # all came, only its end didn't
                    return None
                if self._gives_up(lane, exc):
                    return left
                await lane.breaks.wait(lane.received, exc)
                self._rules.note_break()
            finally:
                await _close(opening)
            opening = None

    def _lead_bytes(self) -> int:
        """Give what a lane brings while its next question is answered."""
        return int(self._weather.round_trip * self._lane_rate())

    def _lane_rate(self) -> float:
        seconds = asyncio.get_running_loop().time() - self._started_at
        return self._received / (seconds * max(1, self._active)) if seconds else 0.0

    def _note_received(self, lane: _Lane, size: int) -> None:
        if not lane.is_flowing:
            lane.is_flowing = True
            self._flowing += 1
            self._note_flow()
        self._received += size
        lane.received += size

    def _note_flow(self) -> None:
        """Take the time between the first lane's first byte and the second's."""
        now = asyncio.get_running_loop().time()
        if self._flowing == 1 and not self._received:
            self._flows_since = now
        elif self._flowing == 2 and not self._is_alone_measured:
            self._is_alone_measured = True
            if now - self._flows_since >= TELLING_SECONDS:
                self._climb.measured_alone(self._received / (now - self._flows_since))

    def _gives_up(self, lane: _Lane, exc: Unavailable) -> bool:
        """Say whether a lane leaves its rest to the others, of which there is one at least."""
        wants_less = isinstance(exc, TooManyRequests) or exc.is_time_named
        if wants_less:
            self._weather.note_less_wanted(self._active)
            self._climb.hold_at(self._active // 2)
        elif lane.breaks.is_last:
            self._climb.hold_at(self._active - 1)
        return self._active > 1 and (wants_less or lane.breaks.is_last)


async def _given(stream: Stream) -> Stream:
    return stream


async def _close(opening: Opening) -> None:
    """Let go of a stream, whether it is open by now or not, and whoever is cancelled meanwhile."""
    await to_its_end(_closed(opening))


async def _closed(opening: Opening) -> None:
    opening.cancel()
    await asyncio.wait((opening,))
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().aclose()


async def _new_bytes(stream: Stream, span: ByteSpan) -> AsyncGenerator[bytes]:
    """Give a stream's bytes that lie in *span*, in order: a primary may ignore Range.

    Raises: ContentMismatch: there is more than was announced.
    """
    offset = stream.span.start
    async for chunk in stream.chunks:
        new = chunk[max(0, span.start - offset) : max(0, span.stop - offset)]
        offset += len(chunk)
        if offset > span.stop >= stream.span.stop:
            raise ContentMismatch("the primary sent more than it announced")
        if new:
            yield new
        if offset >= span.stop and stream.span.stop > span.stop:
            return
