"""A listener for one application of aiohttp: plain, or TLS."""

import asyncio
import ssl
from collections.abc import Iterable

from aiohttp import web

from proxy.serving.sockets import Address, open_socket

BACKLOG = 1024
IDLE_SECONDS = 75.0
ACCEPT_TURNS = 4
"""Of the loop: asyncio accepts, makes a transport and tells the server in turns of their own."""
CUT_SECONDS = 0.1  # 0 would let aiohttp wait without end


class Listener:
    """Some addresses that lead to one application."""

    def __init__(
        self,
        application: web.Application,
        context: ssl.SSLContext | None,
        drain_seconds: float,
    ) -> None:
        self._context = context
        self._runner = web.AppRunner(
            application,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            shutdown_timeout=max(CUT_SECONDS, drain_seconds),
            auto_decompress=False,
        )
        self._sites: list[web.SockSite] = []
        self.addresses: list[Address] = []

    async def open(self, addresses: Iterable[Address]) -> None:
        """Listen on all of them. Raises: OSError: one of them can't be had."""
        await self._runner.setup()
        for address in addresses:
            opened = open_socket(address)
            host, port = opened.getsockname()[:2]
            self.addresses.append((host, port))
            site = web.SockSite(self._runner, opened, backlog=BACKLOG, ssl_context=self._context)
            await site.start()
            self._sites.append(site)

    async def close(self) -> None:
        """Take no new connections; those that are open go on."""
        for site in self._sites:
            await site.stop()
        self._sites.clear()
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)

    async def end(self) -> None:
        """Let requests that are under way finish, and end what is open after that."""
        await self._runner.cleanup()
