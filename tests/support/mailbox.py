"""A receiver of webhooks: it keeps what comes and answers 202."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.http1 import read_body, read_request, request_framing
from tests.support.listener import Listener, listening
from tests.support.ports import LOOPBACK

_ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Letter:
    """One request."""

    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What has come so far, in order."""

    listener: Listener
    letters: list[Letter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.listener.url


@contextmanager
def mailbox(*, host: str = LOOPBACK) -> Iterator[Mailbox]:
    """Keep a mailbox open for the length of the block."""
    letters: list[Letter] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await read_request(reader)) is not None:
            body = b"".join(
                [piece async for piece in read_body(reader, request_framing(request.fields))]
            )
            letters.append(Letter(request.target, dict(request.fields.pairs), body))
            writer.write(_ANSWER)
            await writer.drain()

    with listening(receive, host=host) as listener:
        yield Mailbox(listener, letters)
