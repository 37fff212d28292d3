"""A listening port whose outage the test decides: cut and restored on the same port.

Rules: a connection has an owner from the moment it is accepted: a task, which closes it however it
ends, also if it never began. (asyncio.Server on Python 3.11 loses connections that it has accepted
when it is closed.) Cutting ends every task before it returns.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from tests.support.http1 import HEAD_BYTES, Malformed
from tests.support.loop_thread import LoopThread
from tests.support.ports import LOOPBACK, address_of, claimed_port

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
READ_LIMIT_BYTES = 16 * HEAD_BYTES
BACKLOG = 4096


class Listener:
    """Accepts connections on one port and gives each to *handler*, in a thread of its own."""

    def __init__(
        self, thread: LoopThread, handler: Handler, host: str, port: int, tls: ssl.SSLContext | None
    ) -> None:
        self.host = host
        self.port = port
        self.accepted = 0
        self.failures: list[BaseException] = []
        self._thread = thread
        self._handler = handler
        self._tls = tls
        self._socket: socket.socket | None = None
        self._unwrapped: set[socket.socket] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return address_of(self.host, self.port)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}"

    @property
    def open_connections(self) -> int:
        return len(self._tasks)

    def cut(self) -> None:
        """Refuse new connections and reset those that are open."""
        self._thread.run(self._cut())

    def restore(self) -> None:
        """Accept connections again."""
        self._thread.run(self._listen())

    def reset_connections(self) -> None:
        """Reset the connections that are open; new ones are welcome."""
        self._thread.run(self._reset_all())

    async def _listen(self) -> None:
        assert self._socket is None, "listens already"
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._socket = socket.create_server((self.host, self.port), family=family, backlog=BACKLOG)
        self._socket.setblocking(False)
        self._thread.loop.add_reader(self._socket, self._accept, self._socket)

    async def _cut(self) -> None:
        if self._socket is not None:
            self._thread.loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        await self._reset_all()

    async def _reset_all(self) -> None:
        for writer in self._writers:
            reset(writer)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listening: socket.socket) -> None:
        try:
            connection, _ = listening.accept()
        except OSError:
            return  # the peer left before it was its turn
        connection.setblocking(False)
        self.accepted += 1
        self._unwrapped.add(connection)
        task = self._thread.loop.create_task(self._own(connection))
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._disown(task, connection))

    def _disown(self, task: "asyncio.Task[None]", connection: socket.socket) -> None:
        self._tasks.discard(task)
        if connection in self._unwrapped:
            self._unwrapped.discard(connection)
            connection.close()

    async def _own(self, connection: socket.socket) -> None:
        try:
            reader, writer = await self._wrap(connection)
        except OSError:
            return  # the peer left, or wants other TLS than this
        self._writers.add(writer)
        try:
            await self._handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError, Malformed):
            pass  # the peer left, or was sent away
        except Exception as error:  # noqa: BLE001  (raised at the end of the block)
            self.failures.append(error)
        finally:
            self._writers.discard(writer)
            with suppress(OSError):
                writer.close()

    async def _wrap(
        self, connection: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = self._thread.loop
        reader = asyncio.StreamReader(READ_LIMIT_BYTES, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        wrapping = loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls)
        self._unwrapped.discard(connection)  # the transport closes it now, also if it fails
        transport, _ = await wrapping
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST."""
    connection: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def listening(
    handler: Handler, *, host: str = LOOPBACK, tls: ssl.SSLContext | None = None
) -> Iterator[Listener]:
    """Listen for the length of the block; what went wrong in *handler* is raised at its end."""
    with claimed_port() as port, LoopThread(f"listener-{port}") as thread:
        listener = Listener(thread, handler, host, port, tls)
        listener.restore()
        try:
            yield listener
        finally:
            listener.cut()
        if listener.failures:
            raise listener.failures[0]
