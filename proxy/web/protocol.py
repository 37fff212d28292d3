"""aiohttp's server protocol, tightened where the boundary of a registry needs it.

aiohttp would answer a malformed request in HTML, wait without end for a slow header, keep idle
connections for an hour and read an unwanted body for ten seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.http import RawRequestMessage

from proxy.oci.errors import RegistryError
from proxy.web.respond import error_response

WRITE_BUFFER_BYTES = 64 << 10

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Refusal = Callable[[web.BaseRequest], web.StreamResponse]


@dataclass(frozen=True, slots=True)
class ConnectionTimes:
    """How long a header may take and how long a connection may idle, in seconds."""

    header_timeout: float = 10.0
    idle_timeout: float = 75.0


class _Protocol(web.RequestHandler):
    """One connection."""

    __slots__ = ("_header_timer", "_refuse", "_times")

    def __init__(self, manager: "Server", refuse: Refusal, times: ConnectionTimes) -> None:
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
        self._header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if isinstance(transport, asyncio.WriteTransport):
            transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._start_header_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_header_timer()
        super().connection_lost(exc)

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

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, self._refuse, self._times)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._connections) > self._max_connections:
            transport.abort()


def is_tls(request: web.BaseRequest) -> bool:
    """Say whether a request came over TLS that ends here."""
    return request.protocol.ssl_context is not None
