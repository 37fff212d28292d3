"""Station 8: content to the client, each kind on the shortest way.

A body that can't be completed is never ended well: the connection is aborted, so that no client
can take a part for the whole.
"""

from concurrent.futures import Executor
from functools import partial
from typing import assert_never

from aiohttp import web
from multidict import CIMultiDict

from proxy.oci.errors import RegistryError
from proxy.registry.puller import Bytes, Content, File, Stream
from proxy.telemetry.labels import Origin
from proxy.telemetry.metrics import Metrics
from proxy.web.exchange import Exchange
from proxy.web.mending import Reopen, opened_anew, rest_of
from proxy.web.protocol import is_tls, while_connected
from proxy.web.sendfile import FileReadFailed, PlainSender, read_part
from proxy.web.turns import Turns

FEW_CONNECTIONS = 64
LARGE_WRITE_BYTES = 256 << 10
SMALL_WRITE_BYTES = 64 << 10


class BodyAborted(Exception):
    """The body ended before its length; the connection is no more."""


class Sender:
    """Sends bodies. *write_timeout*: seconds that a client may take no byte of a file.

    What goes through the transport is watched by the connection's protocol in the same way.
    """

    def __init__(self, executor: Executor, write_timeout: float, metrics: Metrics) -> None:
        self._executor = executor
        self._timeout = write_timeout
        self._metrics = metrics
        self._turns = Turns()
        self.sending = 0

    async def send(
        self,
        exchange: Exchange,
        content: Content,
        status: int,
        headers: CIMultiDict[str],
        reopen: Reopen,
    ) -> web.StreamResponse:
        """Send content; give the response once all of it is out.

        What can't be read of it is opened anew, once, and gone on with.

        Raises: BodyAborted: not all of it could be sent; the connection was aborted.
        """
        if isinstance(content, Bytes):
            return self.send_bytes(exchange, content, status, headers)
        headers["Content-Length"] = str(len(content.span))
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(exchange.request)
        self.sending += 1
        try:
            with while_connected(exchange.request):
                await self._send_all(exchange, response, content, reopen)
        except (RegistryError, FileReadFailed, OSError) as exc:
            exchange.error = str(exc) or type(exc).__name__
            self._abort(exchange.request)
            raise BodyAborted from exc
        except BaseException:
            self._abort(exchange.request)
            raise
        finally:
            self.sending -= 1
        await response.write_eof()
        return response

    async def _send_all(
        self, exchange: Exchange, response: web.StreamResponse, content: Content, reopen: Reopen
    ) -> None:
        """Send a body; see `mending` for what happens where its file can't be read."""
        try:
            await self._send_body(exchange, response, content)
        except FileReadFailed:
            rest = rest_of(content, exchange.sent_bytes)
            if rest is None:
                raise
            async with opened_anew(content, rest, reopen) as anew:
                exchange.origin = anew.resolution.origin
                await self._send_body(exchange, response, anew)

    async def _send_body(
        self, exchange: Exchange, response: web.StreamResponse, content: Content
    ) -> None:
        match content:
            case Bytes():
                data = _body(content)
                await response.write(data)
                self.count(exchange, content.resolution.origin, len(data))
            case Stream():
                await self._send_stream(exchange, response, content)
            case File():
                await self._send_file(exchange, response, content)
            case _:
                assert_never(content)

    def send_bytes(
        self, exchange: Exchange, content: Bytes, status: int, headers: CIMultiDict[str]
    ) -> web.Response:
        """Give the response that carries content in memory: it goes out in one write."""
        body = _body(content)
        self.count(exchange, content.resolution.origin, len(body))
        return web.Response(status=status, headers=headers, body=body)

    async def _send_stream(
        self, exchange: Exchange, response: web.StreamResponse, content: Stream
    ) -> None:
        left = len(content.span)
        async for chunk in content.chunks:
            if len(chunk) > left:
                raise BodyAborted("more than was announced")
            left -= len(chunk)
            await response.write(chunk)
            self.count(exchange, content.resolution.origin, len(chunk))
        if left:
            raise ConnectionAbortedError("less than was announced")

    async def _send_file(
        self, exchange: Exchange, response: web.StreamResponse, content: File
    ) -> None:
        try:
            if is_tls(exchange.request):
                await self._send_copied(exchange, response, content)
            else:
                await self._send_uncopied(exchange, content)
        except FileReadFailed:
            content.growth.read_failed()
            raise

    async def _send_uncopied(self, exchange: Exchange, content: File) -> None:
        transport = exchange.request.transport
        if transport is None:
            raise ConnectionResetError
        growth, position, stop = content.growth, content.span.start, content.span.stop
        count = partial(self.count, exchange, content.resolution.origin)
        sender = PlainSender(transport, self._executor, self._turns, self._timeout, count)
        try:
            await sender.headers_are_out()
            while position < stop:
                limit = min(stop, await growth.visible_beyond(position, is_part=content.is_part))
                await sender.send(growth.descriptor_number, position, limit)
                position = limit
        finally:
            sender.close()

    async def _send_copied(
        self, exchange: Exchange, response: web.StreamResponse, content: File
    ) -> None:
        """Over TLS every byte passes through here; large writes only while there are few."""
        growth, position, stop = content.growth, content.span.start, content.span.stop
        while position < stop:
            limit = min(stop, await growth.visible_beyond(position, is_part=content.is_part))
            await self._turns.take()
            size = LARGE_WRITE_BYTES if self.sending < FEW_CONNECTIONS else SMALL_WRITE_BYTES
            count = min(size, limit - position)
            data = await read_part(self._executor, growth.descriptor_number, position, count)
            await response.write(data)
            self.count(exchange, content.resolution.origin, len(data))
            position += len(data)

    def count(self, exchange: Exchange, origin: Origin, size: int) -> None:
        """Count body bytes that go to a client."""
        exchange.sent_bytes += size
        self._metrics.sent(origin, size)

    @staticmethod
    def _abort(request: web.BaseRequest) -> None:
        if request.transport is not None:
            request.transport.abort()


def _body(content: Bytes) -> bytes:
    """Give the bytes of content's span, uncopied where that is all of it."""
    span = content.span
    is_whole = len(span) == len(content.data)
    return content.data if is_whole else content.data[span.start : span.stop]
