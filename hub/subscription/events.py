"""`GET /v1/events`: what follows a cursor, then what happens, while the replica listens."""

import asyncio

from aiohttp import web

from hub.errors import Denied, Unauthorized, Unavailable
from hub.log.cursor import cursor_in
from hub.log.log import Log
from hub.members import Members
from hub.subscription import sse
from hub.subscription.feed import Feed
from hub.subscription.stream import Stream
from hub.web.application import route
from hub.web.bearers import member_of

PAGE_EVENTS = 500
PIECE_BYTES = 64 << 10  # what a write may leave in the buffers of a connection that is slow
WRITE_SECONDS = 30.0


class Subscriptions:
    """Answers the requests for streams."""

    def __init__(self, log: Log, feed: Feed, members: Members, max_streams: int) -> None:
        self._log = log
        self._feed = feed
        self._members = members
        self.max_streams = max_streams
        self._open = 0
        self.is_draining = False

    def routes(self) -> list[web.RouteDef]:
        """Give what it answers."""
        return [route("GET", "/v1/events", self._stream)]

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        member = await member_of(request, self._members)
        cursor = cursor_in(request.query.get("after"))
        self._log.extent.check(cursor)
        if self.is_draining or self._open >= self.max_streams:
            raise Unavailable("no more streams now", retry_after_seconds=5)
        self._open += 1
        try:
            return await self._serve(request, member.id, cursor.seq)
        finally:
            self._open -= 1

    async def _serve(self, request: web.Request, member_id: str, after: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Cache-Control": "no-store"})
        response.content_type = sse.CONTENT_TYPE
        response.force_close()
        try:
            await response.prepare(request)
            await self._send_all(request, response, member_id, after)
            await response.write_eof()
        except (ConnectionError, TimeoutError, _BrokenOff) as exc:
            if isinstance(exc, TimeoutError):
                self._feed.note_cut(member_id)
            if request.transport is not None:  # it must not look like an end in good order
                request.transport.abort()
        return response

    async def _send_all(
        self, request: web.Request, response: web.StreamResponse, member_id: str, after: int
    ) -> None:
        if after > self._feed.position:  # the head is known before it has gone out
            self._feed.tick()
        await _write(response, sse.heartbeat(self._feed.position))
        with self._feed.joined(member_id, after) as stream:
            stream.on_cut = request.transport.abort if request.transport else None
            if self.is_draining or not await self._may_still_follow(request):
                return
            while not stream.is_over:
                await self._catch_up(response, stream)
                async for chunk in stream.chunks():
                    await _write(response, chunk)
        if stream.is_cut:
            raise _BrokenOff

    async def _may_still_follow(self, request: web.Request) -> bool:
        """Ask once more: one that was deleted before its stream joined had none to be ended."""
        try:
            await member_of(request, self._members)
        except (Unauthorized, Denied):
            return False
        except Unavailable as exc:
            raise _BrokenOff from exc
        return True

    async def _catch_up(self, response: web.StreamResponse, stream: Stream) -> None:
        """Write what went out since a stream fell behind, until it may join again."""
        position = stream.position
        while position != self._feed.position and not stream.is_ended:
            position = await self._write_some(response, position)
        stream.join(position)

    async def _write_some(self, response: web.StreamResponse, after: int) -> int:
        """Write some of what went out after an event; give how far that is now."""
        recent = self._feed.recent(after)
        if recent is not None:
            position, chunk = recent
            await _write(response, chunk)
            return position
        entries = await self._log.read(after, self._feed.position, PAGE_EVENTS)
        if not entries or entries[0].seq != after + 1:
            raise _BrokenOff
        await _write(response, sse.notices(self._log.extent.epoch, entries))
        return entries[-1].seq


async def _write(response: web.StreamResponse, chunk: bytes) -> None:
    """Write a chunk of any size, with so much time for each piece."""
    for start in range(0, len(chunk), PIECE_BYTES):
        async with asyncio.timeout(WRITE_SECONDS):
            await response.write(chunk[start : start + PIECE_BYTES])


class _BrokenOff(Exception):
    """The stream was cut, or what was to be read next is trimmed: the replica comes back."""
