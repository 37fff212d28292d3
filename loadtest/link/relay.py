"""The relay: what it listens on, what it counts, and its faults.

What it models: bytes take half a round trip each way; a new connection costs one round trip before
the client's first byte leaves (the handshake); both directions have the same rate, shared evenly by
all connections, and optionally a lower one for each connection; what is on its way is bounded by
the product of rate and round trip. What it doesn't: loss, and TCP's slow start over a distance.
"""

import asyncio
import socket
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from loadtest.address import Address, show_address
from loadtest.link.connection import Connection, reset
from loadtest.link.gate import Gate
from loadtest.link.lane import LaneTerms, chunk_bytes

_BACKLOG = 4096
_WINDOW_UNLIMITED_BYTES = 16 * 2**20
_WINDOW_LEAST_BYTES = 256 * 2**10


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """A link's properties; a rate holds for each direction, in bytes a second, None: no limit."""

    round_trip_seconds: float = 0.0
    rate_bytes_per_second: float | None = None
    connection_rate_bytes_per_second: float | None = None

    @property
    def least_rate_bytes_per_second(self) -> float | None:
        """What one connection can get at most."""
        rates = (self.rate_bytes_per_second, self.connection_rate_bytes_per_second)
        return min((rate for rate in rates if rate is not None), default=None)

    @property
    def window_bytes(self) -> int:
        """How much may be on its way in one direction of one connection."""
        rate = self.least_rate_bytes_per_second
        if rate is None:
            return _WINDOW_UNLIMITED_BYTES
        return max(_WINDOW_LEAST_BYTES, int(rate * self.round_trip_seconds))


@dataclass(slots=True)
class LinkCounts:
    """What entered a link so far: up is towards the registry, down towards the client."""

    connections: int = 0
    refused: int = 0
    cut: int = 0
    up_bytes: int = 0
    down_bytes: int = 0


class Link:
    """A relay from its own address to *to*; listens while it is entered."""

    def __init__(
        self, to: Address, settings: LinkSettings, listen: Address = ("127.0.0.1", 0)
    ) -> None:
        self.counts = LinkCounts()
        self._to, self._settings, self._listen = to, settings, listen
        self._up = Gate(settings.rate_bytes_per_second)
        self._down = Gate(settings.rate_bytes_per_second)
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._is_refusing = False
        self._cut_at_down_bytes: int | None = None

    @property
    def address(self) -> str:
        """Where it listens, as host:port.

        Raises: RuntimeError: it isn't entered.
        """
        if self._listener is None:
            raise RuntimeError("the link doesn't listen")
        return show_address(self._listener.getsockname()[:2])

    async def __aenter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self._listen[0] else socket.AF_INET
        self._listener = socket.create_server(self._listen, family=family, backlog=_BACKLOG)
        self._listener.settimeout(0)
        self._own(self._accept(self._listener))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.cut()
        if self._listener is not None:
            self._listener.close()

    def cut(self) -> None:
        """Reset every open connection now; new ones are still taken."""
        self._cut_at_down_bytes = None
        for connection in list(self._connections):
            self.counts.cut += 1
            connection.abort()

    def cut_after(self, down_bytes: int) -> None:
        """Reset every open connection once *down_bytes* more have entered towards the client."""
        self._cut_at_down_bytes = self.counts.down_bytes + down_bytes

    def refuse(self) -> None:
        """Be an outage: reset every open connection, and each new one after its round trip."""
        self._is_refusing = True
        self.cut()

    def restore(self) -> None:
        """End the outage."""
        self._is_refusing = False

    def _own(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            client.settimeout(0)
            self._own(self._open(client))

    async def _open(self, client: socket.socket) -> None:
        """Do the handshake: the client's SYN gets here, is answered, and the answer goes back."""
        server: socket.socket | None = None
        half_seconds = self._settings.round_trip_seconds / 2
        try:
            await asyncio.sleep(half_seconds)
            server = await self._connect()
            await asyncio.sleep(half_seconds)
        except asyncio.CancelledError:
            reset(client)
            if server is not None:
                reset(server)
            raise
        if server is None or self._is_refusing:
            self.counts.refused += 1
            reset(client)
            if server is not None:
                reset(server)
            return
        self._start(Connection(client, server, self._connections.discard))

    async def _connect(self) -> socket.socket | None:
        """Give a connection to the registry; None if it can't be had."""
        if self._is_refusing:
            return None
        family = socket.AF_INET6 if ":" in self._to[0] else socket.AF_INET
        server = socket.socket(family, socket.SOCK_STREAM)
        server.settimeout(0)
        try:
            await asyncio.get_running_loop().sock_connect(server, self._to)
        except OSError:
            server.close()
            return None
        except asyncio.CancelledError:
            server.close()
            raise
        return server

    def _start(self, connection: Connection) -> None:
        self.counts.connections += 1
        self._connections.add(connection)
        connection.start(
            self._terms(self._up), self._terms(self._down), self._count_up, self._count_down
        )

    def _terms(self, shared: Gate) -> LaneTerms:
        own_rate = self._settings.connection_rate_bytes_per_second
        return LaneTerms(
            gates=(shared,) if own_rate is None else (Gate(own_rate), shared),
            delay_seconds=self._settings.round_trip_seconds / 2,
            window_bytes=self._settings.window_bytes,
            chunk_bytes=chunk_bytes(self._settings.least_rate_bytes_per_second),
        )

    def _count_up(self, size_bytes: int) -> None:
        self.counts.up_bytes += size_bytes

    def _count_down(self, size_bytes: int) -> None:
        self.counts.down_bytes += size_bytes
        cut_at = self._cut_at_down_bytes
        if cut_at is not None and self.counts.down_bytes >= cut_at:
            self.cut()
