"""A server's connection, of which headers don't take for ever: aiohttp would wait without end."""

import asyncio
from typing import Any

from aiohttp import web


class Connection(web.RequestHandler):
    """One connection: closed if headers are late, or if nothing is asked for too long."""

    __slots__ = ("_header_seconds", "_header_timer")

    def __init__(self, manager: web.Server, header_seconds: float, idle_seconds: float) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=idle_seconds,
            lingering_time=0,
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp is told to log none
            auto_decompress=False,
        )
        self._header_seconds = header_seconds
        self._header_timer: asyncio.TimerHandle | None = None

    @property
    def has_request(self) -> bool:
        """Say whether a request is being answered, or waits to be."""
        return self._request_in_progress or bool(self._messages)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._start_header_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_header_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        is_between_requests = not self.has_request
        super().data_received(data)
        if self.has_request:
            self._stop_header_timer()
        elif is_between_requests and self._header_timer is None:
            self._start_header_timer()

    def _start_header_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._header_timer = loop.call_later(self._header_seconds, self._header_late)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _header_late(self) -> None:
        self._header_timer = None
        self.force_close()


def busy(connections: list[Any]) -> int:
    """Give how many of some connections have a request."""
    return sum(isinstance(each, Connection) and each.has_request for each in connections)
