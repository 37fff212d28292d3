"""A relay before a registry that records every exchange, and can be cut like a cable.

It passes heads on byte for byte; bodies keep their framing. ``routes`` sends paths to other
servers, so that a token server can live at a path of the registry's own domain.
"""

import asyncio
import ssl
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from tests.support.http1 import (
    PIECE_BYTES,
    Chunked,
    Fields,
    Framing,
    Length,
    Request,
    UntilClose,
    encode_chunk,
    read_body,
    read_request,
    read_response,
    request_framing,
    response_framing,
)
from tests.support.listener import READ_LIMIT_BYTES, Listener, listening
from tests.support.ports import LOOPBACK
from tests.support.waiting import POLL_SECONDS

T = TypeVar("T")

AFTER_ANSWER_SECONDS = 0.1
DRAIN_SECONDS = 1.0


@dataclass(slots=True)
class Exchange:
    """A request and what became of it; status 0: no answer (yet).

    Bytes are those of bodies, counted before they are passed on: what the other side has read is
    counted already.
    """

    method: str
    target: str
    fields: Fields
    started_at: float
    request_bytes: int = 0
    status: int = 0
    response_fields: Fields = field(default_factory=Fields)
    response_bytes: int = 0
    is_complete: bool = False

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(slots=True)
class _Peer:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass(slots=True)
class Relay:
    """A running relay."""

    target: str
    routes: Mapping[str, str]
    target_tls: ssl.SSLContext | None
    exchanges: list[Exchange] = field(default_factory=list)
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

    def cut(self) -> None:
        """Refuse connections and reset the open ones: an outage."""
        self.listener.cut()

    def restore(self) -> None:
        """End the outage, on the same port."""
        self.listener.restore()

    def count(self, method: str | None = None, path: str = "") -> int:
        """Count the requests so far of *method* (None: any) whose path contains *path*."""
        return len(self.requests(method, path))

    def requests(self, method: str | None = None, path: str = "") -> list[Exchange]:
        """Give the exchanges so far of *method* (None: any) whose path contains *path*."""
        return [
            each for each in self.exchanges if method in (None, each.method) and path in each.path
        ]

    def response_bytes(self, path: str = "") -> int:
        """Sum the body bytes that came back for paths that contain *path*."""
        return sum(each.response_bytes for each in self.requests(path=path))

    def forget(self) -> None:
        """Begin a new record."""
        self.exchanges.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry the exchanges of one connection."""
        peers: dict[str, _Peer] = {}
        try:
            while (request := await read_request(reader)) is not None:
                address = self._address_for(request.path)
                if address not in peers or peers[address].reader.at_eof():
                    peers[address] = await self._connect(address)
                if not await self._carry(request, _Peer(reader, writer), peers[address]):
                    return
        finally:
            for peer in peers.values():
                peer.writer.transport.abort()

    def _address_for(self, path: str) -> str:
        matching = (to for prefix, to in self.routes.items() if path.startswith(prefix))
        return next(matching, self.target)

    async def _connect(self, address: str) -> _Peer:
        host, _, port = address.rpartition(":")
        tls = self.target_tls if address == self.target else None
        return _Peer(
            *await asyncio.open_connection(
                host.strip("[]"), int(port), ssl=tls, limit=READ_LIMIT_BYTES
            )
        )

    async def _carry(self, request: Request, client: _Peer, server: _Peer) -> bool:
        """Carry one exchange; True: the connection may go on."""
        exchange = Exchange(request.method, request.target, request.fields, time.monotonic())
        self.exchanges.append(exchange)
        server.writer.write(request.raw)
        async with _Tasks() as tasks:
            upwards = tasks.start(_carry_request(request, client, server, exchange))
            downwards = tasks.start(_carry_response(request, client, server, exchange))
            gone = tasks.start(_until_gone(client))
            await asyncio.wait({downwards, gone}, return_when=asyncio.FIRST_COMPLETED)
            may_go_on = downwards.done() and downwards.result()
            await asyncio.wait({upwards}, timeout=AFTER_ANSWER_SECONDS)
            if downwards.done() and not upwards.done():
                upwards.cancel()
                await _drain(client)
                return False
            return may_go_on


class _Tasks:
    """Tasks that end with the block."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task


async def _until_gone(client: _Peer) -> None:
    while not client.reader.at_eof():
        await asyncio.sleep(POLL_SECONDS)


async def _drain(client: _Peer) -> None:
    """End a refused upload so that the client can still read the answer."""
    if client.writer.can_write_eof():
        client.writer.write_eof()
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while await client.reader.read(PIECE_BYTES):
                pass


async def _carry_request(
    request: Request, client: _Peer, server: _Peer, exchange: Exchange
) -> None:
    framing = request_framing(request.fields)
    async for piece in read_body(client.reader, framing):
        exchange.request_bytes += len(piece)
        await _write(server.writer, piece, framing)
    await _finish(server.writer, framing)


async def _carry_response(
    request: Request, client: _Peer, server: _Peer, exchange: Exchange
) -> bool:
    """Carry the response; True: the connection may go on."""
    while (response := await read_response(server.reader)).status < 200:
        client.writer.write(response.raw)
    framing = response_framing(request.method, response.status, response.fields)
    exchange.status, exchange.response_fields = response.status, response.fields
    exchange.is_complete = framing == Length(0)
    client.writer.write(response.raw)
    async for piece in read_body(server.reader, framing):
        exchange.response_bytes += len(piece)
        exchange.is_complete = framing == Length(exchange.response_bytes)
        await _write(client.writer, piece, framing)
    exchange.is_complete = True
    await _finish(client.writer, framing)
    closes = "close" in (request.fields.get("Connection"), response.fields.get("Connection"))
    return not closes and not isinstance(framing, UntilClose)


async def _write(writer: asyncio.StreamWriter, piece: bytes, framing: Framing) -> None:
    writer.write(encode_chunk(piece) if isinstance(framing, Chunked) else piece)
    await writer.drain()


async def _finish(writer: asyncio.StreamWriter, framing: Framing) -> None:
    if isinstance(framing, Chunked):
        writer.write(encode_chunk(b""))
    await writer.drain()


@contextmanager
def recording_relay(
    target: str,
    *,
    routes: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    target_tls: ssl.SSLContext | None = None,
    host: str = LOOPBACK,
) -> Iterator[Relay]:
    """Run a relay to *target* (host:port) for the length of the block.

    routes:     path prefix -> host:port of another server.
    tls:        what the relay answers with; target_tls: how it reaches *target*.
    """
    relay = Relay(target, dict(routes or {}), target_tls)
    with listening(relay.serve, host=host, tls=tls) as listener:
        relay._listener = listener
        yield relay
