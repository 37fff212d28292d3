"""TLS connections from their acceptance on: those that still shake hands count as well.

An event loop's own server tells of a connection once its handshake is through. So clients that
never finish theirs would hold descriptors past every bound, until the store and the operators
found none.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable

ACCEPTED_AT_ONCE = 64
PAUSE_SECONDS = 0.5
SHUTDOWN_SECONDS = 1.0
"""How long the end of a connection waits for the client's: it reads what comes meanwhile."""

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class TlsAcceptor:
    """Accepts connections on some sockets and serves those whose handshake succeeds.

    *has_room* says, given how many are shaking hands, whether one more may come.
    """

    def __init__(
        self,
        factory: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        handshake_timeout: float,
        has_room: Callable[[int], bool],
    ) -> None:
        self._factory = factory
        self._context = context
        self._handshake_timeout = handshake_timeout
        self._has_room = has_room
        self._loop = asyncio.get_running_loop()
        self._sockets: set[socket.socket] = set()
        self._handshakes: set[asyncio.Task[None]] = set()

    def listen(self, opened: socket.socket, backlog: int) -> None:
        """Accept on one more socket, which is owned here from now on."""
        opened.listen(backlog)
        self._sockets.add(opened)
        self._loop.add_reader(opened, self._accept, opened)

    def _accept(self, opened: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, _peer = opened.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                if exc.errno not in _OUT_OF_RESOURCES:
                    raise
                self._pause(opened)
                return
            if not self._has_room(len(self._handshakes)):
                connection.close()
                continue
            task = self._loop.create_task(self._shake_hands(connection))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    def _pause(self, opened: socket.socket) -> None:
        """Leave waiting clients where they are for a while, instead of failing in a circle."""
        self._loop.remove_reader(opened)
        self._loop.call_later(PAUSE_SECONDS, self._resume, opened)

    def _resume(self, opened: socket.socket) -> None:
        if opened in self._sockets:
            self._loop.add_reader(opened, self._accept, opened)

    async def _shake_hands(self, connection: socket.socket) -> None:
        connection.setblocking(False)  # noqa: FBT003  # the socket's own signature
        with contextlib.suppress(OSError):  # ssl.SSLError and TimeoutError are such
            await self._loop.connect_accepted_socket(
                self._factory,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._handshake_timeout,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )

    def close(self) -> None:
        """Accept nothing more."""
        for opened in self._sockets:
            self._loop.remove_reader(opened)
            opened.close()
        self._sockets.clear()

    async def end(self) -> None:
        """Accept nothing more and give up the handshakes that are under way."""
        self.close()
        tasks = tuple(self._handshakes)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
