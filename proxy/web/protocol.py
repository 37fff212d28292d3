"""aiohttp's server protocol, tightened where the boundary of a registry needs it.

aiohttp would answer a malformed request in HTML, wait without end for a slow header, keep idle
connections for an hour and read an unwanted body for ten seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage

from proxy.oci.errors import RegistryError
from proxy.web.proxy_protocol import Endpoint
from proxy.web.respond import error_response
from proxy.web.unsent import taken, unsent

WRITE_BUFFER_BYTES = 64 << 10

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Refusal = Callable[[web.BaseRequest], web.StreamResponse]


@dataclass(frozen=True, slots=True)
class ConnectionTimes:
    """Seconds: for a header, without a request, without a byte taken of what waits to be sent."""

    header_timeout: float = 10.0
    idle_timeout: float = 75.0
    write_timeout: float = 60.0


class _Protocol(web.RequestHandler):
    """One connection."""

    __slots__ = (
        "_client",
        "_header_timer",
        "_is_over",
        "_refuse",
        "_times",
        "_wire",
        "_write_timer",
        "sending",
    )

    def __init__(
        self,
        manager: "Server",
        refuse: Refusal,
        times: ConnectionTimes,
        client: Endpoint | None = None,
    ) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=times.idle_timeout,
            lingering_time=0,
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp is told to log none
            auto_decompress=False,
        )
        self._times = times
        self._refuse = refuse
        self._client = client
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._wire: asyncio.Transport | None = None
        self._is_over = False
        self.sending: asyncio.Task[Any] | None = None
        """What sends a body and wants to end with the connection."""

    @property
    def peername(self) -> Any:
        """Give whom the connection comes from: the client that a front end announced, if any."""
        return self._client or super().peername

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wire = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._wire.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._start_header_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_header_timer()
        self._stop_write_timer()
        self._wire = None
        if self.sending is not None:
            self.sending.cancel()
        super().connection_lost(exc)

    async def start(self) -> None:
        """Serve the connection, then close it; what is left to be sent is watched."""
        try:
            if not self._close and self._wire is not None:
                await super().start()
        finally:
            self._is_over = True
            if self._wire is not None and not self._wire.is_closing():
                self._wire.close()  # asyncio's TLS forgets its connection at a second close
            self._watch_writing()

    @property
    def is_busy(self) -> bool:
        """Say whether a request is under way, or an answer isn't out."""
        return self._request_in_progress or bool(self._messages) or self._unsent_bytes > 0

    def cut(self) -> None:
        """End the connection at once, whatever is left to be sent."""
        if self._wire is not None:
            self._wire.abort()

    # --- slow and stalled readers -----------------------------------------------------------------

    @property
    def _unsent_bytes(self) -> int:
        return unsent(self._wire) if self._wire is not None else 0

    @property
    def _taken_bytes(self) -> int:
        return taken(self._wire) if self._wire is not None else 0

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_write_timer()
        if self._is_over:
            self._watch_writing()

    def _watch_writing(self) -> None:
        if self._unsent_bytes and self._write_timer is None:
            loop = asyncio.get_running_loop()
            self._write_timer = loop.call_later(
                self._times.write_timeout, self._writing_late, self._taken_bytes
            )

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _writing_late(self, taken_bytes: int) -> None:
        """Cut a client that took nothing of what waits for it; one that is slow may go on."""
        self._write_timer = None
        if self._wire is not None and self._unsent_bytes and self._taken_bytes <= taken_bytes:
            self._wire.abort()
        else:
            self._watch_writing()

    # --- slow and malformed requests --------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        is_between_requests = not self._request_in_progress and not self._messages
        super().data_received(data)
        if self._messages or self._request_in_progress:
            self._stop_header_timer()
            self._end_malformed_body()
        elif is_between_requests and self._header_timer is None:
            self._start_header_timer()

    def _end_malformed_body(self) -> None:
        """Tell whoever reads a body that it broke: aiohttp would let it wait for the rest."""
        request = self._current_request
        if request is None or not self._messages or request.content.is_eof():
            return
        if not isinstance(self._messages[-1][0], RawRequestMessage):
            request.content.set_exception(web.RequestPayloadError("malformed body"))

    def _start_header_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._header_timer = loop.call_later(self._times.header_timeout, self._header_late)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _header_late(self) -> None:
        self._header_timer = None
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never became a request of ours, in the spec's form.

        Raises: ConnectionError: an answer has begun; the connection was aborted in its middle.
        """
        del exc, message
        if status < 500:
            return self._refuse(request)
        if request.writer.output_size and self.transport is not None:
            self.transport.abort()
            raise ConnectionAbortedError
        response = error_response(RegistryError())
        response.force_close()
        return response


class Server(web.Server):
    """Makes protocols; at most *max_connections* of them at once."""

    def __init__(
        self, handler: Handler, refuse: Refusal, times: ConnectionTimes, max_connections: int
    ) -> None:
        super().__init__(handler)
        self._refuse = refuse
        self._times = times
        self._max_connections = max_connections
        self._is_ending = False

    def __call__(self) -> web.RequestHandler:
        return self.protocol(None)

    def protocol(self, client: Endpoint | None) -> web.RequestHandler:
        """Make a protocol for a connection on behalf of *client*; None: of the peer itself."""
        return _Protocol(self, self._refuse, self._times, client)

    def pre_shutdown(self) -> None:
        """Take no requests any more; those that are under way go on."""
        self._is_ending = True
        super().pre_shutdown()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # aiohttp's
        """End all connections, those too that have something left to send."""
        connections = tuple(self._connections)
        await super().shutdown(timeout)
        for each in connections:
            if isinstance(each, _Protocol):
                each.cut()

    @property
    def open(self) -> int:
        """How many connections there are, whether or not they have a request under way."""
        return len(self._connections)

    @property
    def busy(self) -> int:
        """How many connections have a request under way, or an answer that isn't out."""
        return sum(isinstance(each, _Protocol) and each.is_busy for each in self._connections)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if self._is_ending or len(self._connections) > self._max_connections:
            transport.abort()

    def has_room(self, more: int) -> bool:
        """Say whether another connection may come, where *more* are on their way."""
        return len(self._connections) + more < self._max_connections


@contextmanager
def while_connected(request: web.BaseRequest) -> Iterator[None]:
    """End what is done within when the client leaves, whatever it waits for.

    Raises: ConnectionResetError: the client left.
    """
    protocol, task = cast(_Protocol, request.protocol), asyncio.current_task()
    if has_left(request) or task is None:
        raise ConnectionResetError("the client left")
    protocol.sending = task
    try:
        yield
    except asyncio.CancelledError:
        if has_left(request) and task.uncancel() == 0:
            raise ConnectionResetError("the client left") from None
        raise
    finally:
        protocol.sending = None


def has_left(request: web.BaseRequest) -> bool:
    """Say whether the client's connection is no more."""
    return request.transport is None


def is_tls(request: web.BaseRequest) -> bool:
    """Say whether a request came over TLS that ends here."""
    return request.protocol.ssl_context is not None
