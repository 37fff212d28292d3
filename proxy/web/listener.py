"""Listeners: sockets, the servers behind them, and how they stop."""

import asyncio

from proxy.serving.sockets import Address, open_socket
from proxy.web.acceptor import Acceptor, Tls
from proxy.web.announced import Announcements
from proxy.web.protocol import Server


class Listeners:
    """Some sockets that lead to one server: directly, through TLS, behind front ends."""

    def __init__(
        self,
        server: Server,
        backlog: int,
        *,
        tls: Tls | None = None,
        announcements: Announcements | None = None,
    ) -> None:
        self._server = server
        self._backlog = backlog
        self._plain: list[asyncio.Server] = []
        self._acceptor: Acceptor | None = None
        if tls is not None or announcements is not None:
            self._acceptor = Acceptor(
                server.protocol, server.has_room, tls=tls, announcements=announcements
            )
        self.addresses: list[Address] = []

    async def open(self, addresses: tuple[Address, ...]) -> None:
        """Listen on all of them.

        Raises: OSError: one of them can't be had.
        """
        for address in addresses:
            opened = open_socket(address)
            host, port = opened.getsockname()[:2]
            self.addresses.append((host, port))
            if self._acceptor is not None:
                self._acceptor.listen(opened, self._backlog)
                continue
            loop = asyncio.get_running_loop()
            self._plain.append(
                await loop.create_server(self._server, sock=opened, backlog=self._backlog)
            )

    def close(self) -> None:
        """Take no new connections; those that are open go on."""
        for server in self._plain:
            server.close()
        if self._acceptor is not None:
            self._acceptor.close()

    async def end(self) -> None:
        """Take no new connections, nor those that are still opening."""
        self.close()
        if self._acceptor is not None:
            await self._acceptor.end()
