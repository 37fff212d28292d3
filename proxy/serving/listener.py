"""A listener for one application of aiohttp: plain, or TLS."""

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from proxy.serving.connection import Connection, busy
from proxy.serving.sockets import Address, open_socket

BACKLOG = 1024
ACCEPT_TURNS = 4
"""Of the loop: asyncio accepts, makes a transport and tells the server in turns of their own."""
CUT_SECONDS = 0.1  # 0 would let aiohttp wait without end
DRAIN_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of connections: how many at once; seconds for headers or handshakes, and without requests."""

    max_connections: int = 8_192
    header_seconds: float = 10.0
    idle_seconds: float = 75.0


class Listener:
    """Some addresses that lead to one application."""

    def __init__(
        self,
        application: web.Application,
        context: ssl.SSLContext | None,
        bounds: Bounds | None = None,
    ) -> None:
        self._context = context
        self._bounds = bounds or Bounds()
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=CUT_SECONDS)
        self._servers: list[asyncio.Server] = []
        self._until = float("-inf")
        self.addresses: list[Address] = []

    async def open(self, addresses: Iterable[Address]) -> None:
        """Listen on all of them. Raises: OSError: one of them can't be had."""
        await self._runner.setup()
        handshake = self._bounds.header_seconds if self._context else None
        for address in addresses:
            opened = open_socket(address)
            host, port = opened.getsockname()[:2]
            self.addresses.append((host, port))
            server = await asyncio.get_running_loop().create_server(
                self._connection,
                sock=opened,
                backlog=BACKLOG,
                ssl=self._context,
                ssl_handshake_timeout=handshake,
            )
            self._servers.append(server)

    def _connection(self) -> asyncio.Protocol:
        """Make what serves a connection; where there are too many, what closes it."""
        server = self._runner.server
        if server is None or len(server.connections) >= self._bounds.max_connections:
            return _Closing()
        return Connection(server, self._bounds.header_seconds, self._bounds.idle_seconds)

    async def close(self) -> None:
        """Take no new connections; those that are open go on."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)

    async def end(self, drain_seconds: float = 0.0) -> None:
        """Let requests that are under way finish for a time, and end what is open after that."""
        await self.close()
        loop = asyncio.get_running_loop()
        self._until = loop.time() + drain_seconds
        if (server := self._runner.server) is not None:
            server.pre_shutdown()
            while busy(server.connections) and loop.time() < self._until:  # noqa: ASYNC110
                await asyncio.sleep(DRAIN_POLL_SECONDS)
        await self._runner.cleanup()

    def hurry(self, seconds: float) -> None:
        """Leave an end that is under way no more than this."""
        self._until = min(self._until, asyncio.get_running_loop().time() + seconds)


class _Closing(asyncio.Protocol):
    """Serves nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
