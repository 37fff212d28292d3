"""One request on one connection, where aiohttp's own way would let two requests get mixed up."""

import asyncio

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from proxy.net.upload import UploadBody

CONTINUE_WAIT_SECONDS = 1.0


class NotAsked(aiohttp.ClientConnectionError):
    """The other side neither asked for a body nor refused it; aiohttp doesn't try again."""


class Request(aiohttp.ClientRequest):
    """aiohttp's request, which would wait for a 100 without end, use the connection again on which
    it sent no body, and take for its answer what was there before it.
    """

    async def send(self, conn: "aiohttp.connector.Connection") -> aiohttp.ClientResponse:
        if conn.protocol is not None and conn.protocol.should_close:
            conn.close()
            raise aiohttp.ServerDisconnectedError("an answer came that nobody asked for")
        return await super().send(conn)

    async def write_bytes(
        self,
        writer: AbstractStreamWriter,
        conn: "aiohttp.connector.Connection",
        content_length: int | None = None,
    ) -> None:
        body, asked, protocol = self.body, self._continue, conn.protocol
        if asked is not None and protocol is not None and isinstance(body, UploadBody):
            is_wanted = False
            try:
                writer.send_headers()
                is_wanted = await self._is_wanted(body, asked)
            except OSError:  # a kept connection that ended: aiohttp takes another where it may
                return
            finally:
                if not is_wanted:
                    protocol.force_close()
            if not is_wanted:
                if not self._is_answered():
                    protocol.set_exception(NotAsked("nobody asked for the body"))
                return
        await super().write_bytes(writer, conn, content_length)

    async def _is_wanted(self, body: UploadBody, asked: "asyncio.Future[bool]") -> bool:
        """Wait a little for the 100; give whether the body may go, and nothing was answered yet."""
        await asyncio.wait((asked,), timeout=CONTINUE_WAIT_SECONDS)
        if not asked.done() and not self._is_answered():
            may_send = await body.may_send_unasked()
            if may_send and not asked.done() and not self._is_answered():
                asked.set_result(True)
        return asked.done()

    def _is_answered(self) -> bool:
        response: aiohttp.ClientResponse | None = self.response
        return response is not None and bool(response.status)
