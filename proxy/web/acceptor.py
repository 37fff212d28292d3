"""Connections from their acceptance on: those that still open (TLS, PROXY header) count as well.

An event loop's own server tells of a connection once its handshake is through. So clients that
never finish theirs would hold descriptors past every bound, until the store and the operators
found none. Nor does it let anyone look at a connection's first bytes before TLS does.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from proxy.web.announced import Announcements, Refused
from proxy.web.proxy_protocol import Endpoint

ACCEPTED_AT_ONCE = 64
PAUSE_SECONDS = 0.5
SHUTDOWN_SECONDS = 1.0
"""How long the end of a connection waits for the client's: it reads what comes meanwhile."""

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class Tls:
    """A server context, and the seconds that a handshake may take."""

    context: ssl.SSLContext
    handshake_timeout: float


class Acceptor:
    """Accepts connections on some sockets and serves those that open well.

    *factory* makes a protocol, given whom the front end announced, if one did. *has_room* says,
    given how many are opening, whether one more may come.
    """

    def __init__(
        self,
        factory: Callable[[Endpoint | None], asyncio.Protocol],
        has_room: Callable[[int], bool],
        *,
        tls: Tls | None = None,
        announcements: Announcements | None = None,
    ) -> None:
        self._factory = factory
        self._has_room = has_room
        self._tls = _tls_arguments(tls)
        self._announcements = announcements
        self._loop = asyncio.get_running_loop()
        self._sockets: set[socket.socket] = set()
        self._opening: set[asyncio.Task[None]] = set()

    def listen(self, opened: socket.socket, backlog: int) -> None:
        """Accept on one more socket, which is owned here from now on."""
        opened.listen(backlog)
        self._sockets.add(opened)
        self._loop.add_reader(opened, self._accept, opened)

    def _accept(self, opened: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, (peer, *_) = opened.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                if exc.errno not in _OUT_OF_RESOURCES:
                    raise
                self._pause(opened)
                return
            if not self._has_room(len(self._opening)):
                connection.close()
                continue
            task = self._loop.create_task(self._open(connection, peer))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _pause(self, opened: socket.socket) -> None:
        """Leave waiting clients where they are for a while, instead of failing in a circle."""
        self._loop.remove_reader(opened)
        self._loop.call_later(PAUSE_SECONDS, self._resume, opened)

    def _resume(self, opened: socket.socket) -> None:
        if opened in self._sockets:
            self._loop.add_reader(opened, self._accept, opened)

    async def _open(self, connection: socket.socket, peer: str) -> None:
        connection.setblocking(False)  # noqa: FBT003  # the socket's own signature
        client = None
        if self._announcements is not None:
            try:
                client = await self._announcements.client(connection, peer)
            except BaseException as exc:
                connection.close()
                if isinstance(exc, Refused):
                    return
                raise
        with contextlib.suppress(OSError):  # ssl.SSLError and TimeoutError are such
            await self._loop.connect_accepted_socket(
                lambda: self._factory(client), connection, **self._tls
            )

    def close(self) -> None:
        """Accept nothing more."""
        for opened in self._sockets:
            self._loop.remove_reader(opened)
            opened.close()
        self._sockets.clear()

    async def end(self) -> None:
        """Accept nothing more and give up the connections that are opening."""
        self.close()
        tasks = tuple(self._opening)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _tls_arguments(tls: Tls | None) -> dict[str, Any]:
    """Give what an event loop takes for TLS: times without a context would be an error."""
    if tls is None:
        return {}
    return {
        "ssl": tls.context,
        "ssl_handshake_timeout": tls.handshake_timeout,
        "ssl_shutdown_timeout": SHUTDOWN_SECONDS,
    }
