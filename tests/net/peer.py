"""A peer whose every byte the test writes, in the test's own loop."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from proxy.net.origins import Origin
from tests.support.http1 import Request, read_body, read_request, request_framing
from tests.support.listener import reset
from tests.support.ports import LOOPBACK

LIMIT_BYTES = 1 << 20


@dataclass(slots=True)
class Call:
    """One connection, numbered from 1."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    seen: list[Request]

    async def head(self) -> Request:
        """Give the next request's head. Raises: EOFError: the other side closed."""
        request = await read_request(self.reader)
        if request is None:
            raise EOFError
        self.seen.append(request)
        return request

    async def body(self, request: Request) -> bytes:
        """Give a request's body, read to its end."""
        pieces = [piece async for piece in read_body(self.reader, request_framing(request.fields))]
        return b"".join(pieces)

    async def rest(self) -> bytes:
        """Give all that comes until the other side closes."""
        with suppress(ConnectionError):
            return await self.reader.read(-1)
        return b""

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int = 200, body: bytes = b"", *lines: str) -> None:
        """Send an answer with a Content-Length; to a HEAD without its body."""
        head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *lines]
        is_head = bool(self.seen) and self.seen[-1].method == "HEAD"
        await self.send("\r\n".join([*head, "", ""]).encode("latin-1") + body * (not is_head))

    def take_in_sips(self) -> None:
        """Let the kernel hold little of what isn't read yet."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)

    def reset(self) -> None:
        """End the connection with RST."""
        reset(self.writer)


Handler = Callable[[Call], Awaitable[None]]


@dataclass(slots=True)
class Peer:
    """A listening peer and what came to it."""

    scheme: str
    host: str
    port: int
    seen: list[Request] = field(default_factory=list)
    connections: int = 0
    is_open: set[int] = field(default_factory=set)

    @property
    def origin(self) -> Origin:
        return Origin(self.scheme, self.host, self.port)

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port


@asynccontextmanager
async def peer(
    handle: Handler,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Peer]:
    """Listen for the length of the block; what went wrong in *handle* is raised at its end."""
    found = Peer("https" if tls else "http", host, port)
    tasks: set[asyncio.Task[None]] = set()
    failures: list[BaseException] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections += 1
        call = Call(found.connections, reader, writer, found.seen)
        found.is_open.add(call.number)
        try:
            await handle(call)
        except (EOFError, ConnectionError):
            pass  # the other side left
        except Exception as error:  # noqa: BLE001  # raised at the end of the block
            failures.append(error)
        finally:
            found.is_open.discard(call.number)
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, host, port, ssl=tls, limit=LIMIT_BYTES)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if failures:
        raise failures[0]


async def polite(call: Call) -> None:
    """Answer every request with 200 and its target."""
    while True:
        request = await call.head()
        await call.body(request)
        await call.answer(200, request.target.encode())


def answering(status: int, body: bytes = b"", *lines: str) -> Handler:
    """Give a handler that answers every request in the same way."""

    async def handle(call: Call) -> None:
        while True:
            await call.body(await call.head())
            await call.answer(status, body, *lines)

    return handle


async def silent(call: Call) -> None:
    """Read and say nothing."""
    await call.rest()


def saying(data: bytes) -> Handler:
    """Give a handler that answers the first request with *data* and then says nothing."""

    async def handle(call: Call) -> None:
        await call.head()
        await call.send(data)
        await call.rest()

    return handle
