"""Listeners: sockets, the servers behind them, and how they stop."""

import asyncio
import socket

from proxy.web.acceptor import Acceptor, Tls
from proxy.web.announced import Announcements
from proxy.web.protocol import Server

Address = tuple[str, int]

UNSENT_BYTES = 256 << 10
"""What the kernel takes of an answer before the client does; connections have it of their listener.

Without it that is some MiB for each: a thousand clients that take nothing would cost gigabytes, and
over TLS the time to encrypt them ([M] 50 s in which everybody else waits for a turn).
"""


def open_socket(address: Address) -> socket.socket:
    """Bind one address; an IPv6 one takes no IPv4, so that both can be listened on.

    Raises: OSError: in use, not ours, not allowed.
    """
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio looks at it
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        opened.bind((host, port))
        opened.setblocking(False)  # noqa: FBT003  # the socket's own signature
    except OSError as exc:
        opened.close()
        raise OSError(exc.errno, f"can't listen on {host} port {port}: {exc.strerror}") from None
    return opened


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
