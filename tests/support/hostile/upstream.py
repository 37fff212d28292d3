"""The upstream itself: a listening registry whose every answer the test can spoil.

Rules: it reads strictly (what can be read in two ways goes to ``malformed`` and gets 400), records
each request when its head is there, and is a correct registry wherever no fault is set.
"""

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.hostile.answers import Answer, problem
from tests.support.hostile.api import Api
from tests.support.hostile.contents import Contents
from tests.support.hostile.delivery import Sender
from tests.support.hostile.faults import Kind, RefuseEarly, Unread
from tests.support.hostile.injection import ANY_PATH, Fault, FaultBook, spoiled
from tests.support.hostile.seen import Seen
from tests.support.hostile.settings import Expect, Settings
from tests.support.http1 import (
    PIECE_BYTES,
    Fields,
    Malformed,
    Request,
    read_body,
    read_request,
    request_framing,
)
from tests.support.listener import Listener, listening
from tests.support.ports import LOOPBACK
from tests.support.waiting import POLL_SECONDS

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
DRAIN_SECONDS = 0.5


@dataclass(slots=True)
class HostileUpstream:
    """A running upstream."""

    contents: Contents
    settings: Settings
    seen: list[Seen] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    book: FaultBook = field(default_factory=FaultBook)
    _listener: Listener | None = None

    @property
    def listener(self) -> Listener:
        assert self._listener is not None, "not listening"
        return self._listener

    @property
    def url(self) -> str:
        return self.listener.url

    @property
    def address(self) -> str:
        return self.listener.address

    def inject(
        self,
        kind: Kind,
        *,
        method: str | None = None,
        path: str = ANY_PATH,
        where: Callable[[Request], bool] | None = None,
        skip: int = 0,
        times: int | None = 1,
    ) -> Fault:
        """Spoil the next *times* requests (None: all) that fit, after *skip* that fit.

        path: a pattern for the whole path. where: what else has to hold of the request.
        """
        return self.book.add(Fault(kind, method, re.compile(path), where, skip, times))

    def heal(self) -> None:
        """Take back every fault and let go what they hold."""
        self.book.release_all()
        self.book.faults.clear()

    def cut(self) -> None:
        """Refuse connections and reset the open ones: an outage."""
        self.listener.cut()

    def restore(self) -> None:
        """End the outage, on the same port."""
        self.listener.restore()

    def requests(self, method: str | None = None, path: str = ANY_PATH) -> list[Seen]:
        """Give the requests so far of *method* (None: any) whose whole path fits a pattern."""
        pattern = re.compile(path)
        fitting = [each for each in list(self.seen) if pattern.fullmatch(each.path)]
        return [each for each in fitting if method in (None, each.method)]

    def count(self, method: str | None = None, path: str = ANY_PATH) -> int:
        return len(self.requests(method, path))

    def sent_bytes(self, path: str = ANY_PATH) -> int:
        """Sum the body bytes sent for paths that fit a pattern."""
        return sum(each.sent_bytes for each in self.requests(path=path))

    def forget(self) -> None:
        """Begin a new record."""
        self.seen.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        connection = _Connection(self, self.listener.accepted, Sender(reader, writer))
        try:
            while (request := await read_request(reader)) is not None:
                if not await connection.serve(request):
                    return
        except Malformed as error:
            self.malformed.append(str(error))
            with suppress(ConnectionError):
                refusal = problem(400, "UNSUPPORTED", "malformed")
                await connection.sender.send(refusal, Seen("", "", Fields(), 0, 0.0))


@dataclass(slots=True)
class _Connection:
    upstream: HostileUpstream
    number: int
    sender: Sender

    async def serve(self, request: Request) -> bool:
        """Answer one request; True: the connection may go on."""
        seen = Seen(request.method, request.target, request.fields, self.number, time.monotonic())
        self.upstream.seen.append(seen)
        kinds = self.upstream.book.met_by(request)
        api = Api(self.upstream.contents, self.upstream.settings)
        if (refusal := api.refusal(request)) is not None:
            return await self._refuse(request, seen, spoiled(kinds, request, refusal))
        body = await self._read(request, seen, kinds)
        if body is None:
            early = next(kind for kind in kinds if isinstance(kind, RefuseEarly))
            return await self._refuse(request, seen, early.fault.apply(request, Answer(500)))
        answer = spoiled(kinds, request, api.answer(request, body))
        return await self._send(request, seen, answer)

    async def _send(self, request: Request, seen: Seen, answer: Answer) -> bool:
        return await self.sender.send(answer, seen) and not _closes(request)

    async def _refuse(self, request: Request, seen: Seen, answer: Answer) -> bool:
        """Answer without having read the whole body; the connection ends if there is one."""
        may_go_on = await self._send(request, seen, answer)
        if request_framing(request.fields) == request_framing(Fields()):
            return may_go_on
        await self._drain()
        return False

    async def _drain(self) -> None:
        """Let the peer read the answer before it meets a closed connection."""
        reader, writer = self.sender.reader, self.sender.writer
        if writer.can_write_eof():
            writer.write_eof()
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await reader.read(PIECE_BYTES):
                    pass

    async def _read(self, request: Request, seen: Seen, kinds: list[Kind]) -> bytes | None:
        """Give the body; None: it is refused before its end."""
        early = next((kind for kind in kinds if isinstance(kind, RefuseEarly)), None)
        unread = next((kind for kind in kinds if isinstance(kind, Unread)), None)
        if early is not None and early.after_bytes == 0:
            return None
        if request.expects_continue and self.upstream.settings.expect is Expect.CONTINUE:
            self.sender.writer.write(CONTINUE)
        body = bytearray()
        if unread is not None and unread.after_bytes == 0:
            await self._until_read(unread)
        async for piece in read_body(self.sender.reader, request_framing(request.fields)):
            body += piece
            seen.body_bytes += len(piece)
            if early is not None and seen.body_bytes >= early.after_bytes:
                return None
            if unread is not None and seen.body_bytes >= unread.after_bytes:
                await self._until_read(unread)
        return bytes(body)

    async def _until_read(self, unread: Unread) -> None:
        while not unread.gate.is_set() and not self.sender.writer.is_closing():
            await asyncio.sleep(POLL_SECONDS)


def _closes(request: Request) -> bool:
    return request.fields.get("Connection").lower() == "close"


@contextmanager
def hostile_upstream(
    *,
    contents: Contents | None = None,
    settings: Settings | None = None,
    host: str = LOOPBACK,
    tls: ssl.SSLContext | None = None,
) -> Iterator[HostileUpstream]:
    """Run an upstream for the length of the block."""
    upstream = HostileUpstream(contents or Contents(), settings or Settings())
    with listening(upstream.serve, host=host, tls=tls) as listener:
        upstream._listener = listener
        try:
            yield upstream
        finally:
            upstream.heal()
