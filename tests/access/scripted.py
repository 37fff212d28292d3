"""A server that answers what the test says and keeps what it was sent, bodies included."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.hostile import Answer
from tests.support.http1 import Fields, Request, read_body, read_request, request_framing
from tests.support.listener import Listener, listening


@dataclass(frozen=True, slots=True)
class Received:
    """One request, byte for byte where it matters."""

    method: str
    target: str
    fields: Fields
    body: bytes


Answering = Callable[[Request], Answer]


@dataclass(slots=True)
class Scripted:
    """A running server; *answer* may be changed at any time."""

    answer: Answering
    received: list[Received] = field(default_factory=list)
    _listener: Listener | None = None

    @property
    def url(self) -> str:
        assert self._listener is not None
        return self._listener.url

    def always(self, status: int, body: bytes = b"", *fields: tuple[str, str]) -> None:
        """Answer everything alike."""
        self.answer = lambda _request: Answer(status, fields, body)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await read_request(reader)) is not None:
            framing = request_framing(request.fields)
            body = b"".join([piece async for piece in read_body(reader, framing)])
            self.received.append(Received(request.method, request.target, request.fields, body))
            answer = self.answer(request)
            length = ("Content-Length", str(len(answer.body)))
            head = f"HTTP/1.1 {answer.status} Said\r\n".encode()
            writer.write(head + Fields((*answer.fields, length)).encode() + b"\r\n")
            writer.write(b"" if request.method == "HEAD" else answer.body)
            await writer.drain()


@contextmanager
def scripted(answer: Answering | None = None) -> Iterator[Scripted]:
    """Run a server for the length of the block; without *answer* it says 200 to everything."""
    server = Scripted(answer or (lambda _request: Answer(200)))
    with listening(server.serve) as listener:
        server._listener = listener
        yield server
