"""Answers onto the wire, byte by byte as their delivery says."""

import asyncio
import fcntl
import http
import struct
import termios
import threading
from contextlib import suppress
from dataclasses import dataclass

from tests.support.hostile.answers import Answer, Delivery, Framed
from tests.support.hostile.seen import Seen
from tests.support.http1 import PIECE_BYTES, Fields, encode_chunk
from tests.support.listener import reset
from tests.support.waiting import POLL_SECONDS

NO_BODY = (204, 304)
FLUSH_SECONDS = 1.0


@dataclass(slots=True)
class Sender:
    """Sends answers over one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, answer: Answer, seen: Seen) -> bool:
        """Answer a request and keep *seen* up to date; True: the connection may go on."""
        delivery = answer.delivery
        await self._opened(delivery.hold)
        if delivery.raw is not None:
            await self._write(delivery.raw)
            return False
        if delivery.cut_at == -1:
            return await self._end(delivery)
        seen.status = answer.status
        has_body = seen.method != "HEAD" and answer.status not in NO_BODY
        seen.is_complete = not (has_body and answer.body)
        await self._write(head_of(answer))
        return not has_body or await self._send_whole_body(answer, seen)

    async def _send_whole_body(self, answer: Answer, seen: Seen) -> bool:
        delivery = answer.delivery
        await self._send_body(answer.body, delivery, seen)
        if delivery.cut_at is not None and delivery.cut_at < len(answer.body):
            return await self._end(delivery)
        if delivery.framed is Framed.BY_CHUNKS:
            await self._write(encode_chunk(b""))
        return delivery.framed is not Framed.BY_CLOSE and delivery.length_by == 0

    async def _send_body(self, body: bytes, delivery: Delivery, seen: Seen) -> None:
        view = memoryview(body)
        end = len(body) if delivery.cut_at is None else min(len(body), delivery.cut_at)
        step = delivery.drip.bytes_each if delivery.drip else PIECE_BYTES
        while (start := seen.sent_bytes) < end:
            stop = min(end, start + step)
            if delivery.stall_at is not None and start < delivery.stall_at < stop:
                stop = delivery.stall_at
            if start == delivery.stall_at:
                await self._opened(delivery.stall)
            seen.sent_bytes, seen.is_complete = stop, stop == len(body)
            await self._send_piece(view[start:stop], delivery)
            if delivery.drip:
                await asyncio.sleep(delivery.drip.every_seconds)

    async def _send_piece(self, piece: memoryview, delivery: Delivery) -> None:
        chunked = delivery.framed is Framed.BY_CHUNKS
        await self._write(encode_chunk(piece) if chunked else piece)

    async def _write(self, data: bytes | memoryview) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def _opened(self, gate: threading.Event | None) -> None:
        """Wait for a gate. Raises: ConnectionResetError if the peer leaves meanwhile."""
        while gate is not None and not gate.is_set():
            if self.reader.at_eof() or self.writer.is_closing():
                raise ConnectionResetError("the peer left")
            await asyncio.sleep(POLL_SECONDS)

    async def _end(self, delivery: Delivery) -> bool:
        if delivery.reset:
            await self._flushed()
            reset(self.writer)
        return False

    async def _flushed(self) -> None:
        """Wait until the peer's system has what was sent: RST discards the rest."""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(FLUSH_SECONDS):
                while self.writer.transport.get_write_buffer_size() or self._unsent():
                    await asyncio.sleep(POLL_SECONDS)

    def _unsent(self) -> int:
        connection = self.writer.get_extra_info("socket")
        waiting = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        return int(struct.unpack("i", waiting)[0])


def head_of(answer: Answer) -> bytes:
    """Give the head of an answer."""
    reason = http.HTTPStatus(answer.status).phrase
    fields = Fields((*answer.fields, *_framing_fields(answer)))
    return f"HTTP/1.1 {answer.status} {reason}\r\n".encode() + fields.encode() + b"\r\n"


def _framing_fields(answer: Answer) -> tuple[tuple[str, str], ...]:
    match answer.delivery.framed:
        case Framed.BY_CHUNKS:
            return (("Transfer-Encoding", "chunked"),)
        case Framed.BY_CLOSE:
            return (("Connection", "close"),)
        case Framed.BY_LENGTH if answer.status in NO_BODY:
            return ()
        case Framed.BY_LENGTH:
            return (("Content-Length", str(len(answer.body) + answer.delivery.length_by)),)
