"""Listeners: sockets, the servers behind them, and how they stop."""

import asyncio
import socket
import ssl
from collections.abc import Callable

Address = tuple[str, int]

SHUTDOWN_SECONDS = 1.0
"""How long the end of a TLS connection waits for the client's: it reads what comes meanwhile."""


def open_socket(address: Address) -> socket.socket:
    """Bind one address; an IPv6 one takes no IPv4, so that both can be listened on.

    Raises: OSError: in use, not ours, not allowed.
    """
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((host, port))
        opened.setblocking(False)  # noqa: FBT003  # the socket's own signature
    except OSError as exc:
        opened.close()
        raise OSError(exc.errno, f"can't listen on {host} port {port}: {exc.strerror}") from None
    return opened


class Listeners:
    """Some sockets that lead to the same protocol."""

    def __init__(
        self,
        factory: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
        backlog: int,
        *,
        handshake_timeout: float,
    ) -> None:
        self._factory = factory
        self._tls = tls
        self._backlog = backlog
        self._handshake_timeout = handshake_timeout if tls else None
        self._servers: list[asyncio.Server] = []
        self.addresses: list[Address] = []

    async def open(self, addresses: tuple[Address, ...]) -> None:
        """Listen on all of them.

        Raises: OSError: one of them can't be had.
        """
        loop = asyncio.get_running_loop()
        for address in addresses:
            opened = open_socket(address)
            server = await loop.create_server(
                self._factory,
                sock=opened,
                ssl=self._tls,
                backlog=self._backlog,
                ssl_handshake_timeout=self._handshake_timeout,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS if self._tls else None,
            )
            self._servers.append(server)
            host, port = opened.getsockname()[:2]
            self.addresses.append((host, port))

    def close(self) -> None:
        """Take no new connections; those that are open go on."""
        for server in self._servers:
            server.close()
