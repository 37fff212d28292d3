"""A port where nobody should come: it records who did and what they said."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.listener import Listener, listening
from tests.support.ports import LOOPBACK


@dataclass(frozen=True, slots=True)
class Trap:
    """A listening port; it answers nothing."""

    listener: Listener
    received: bytearray

    @property
    def url(self) -> str:
        return self.listener.url

    @property
    def address(self) -> str:
        return self.listener.address

    @property
    def connections(self) -> int:
        """Count the connections so far."""
        return self.listener.accepted


@contextmanager
def trap(*, host: str = LOOPBACK, tls: ssl.SSLContext | None = None) -> Iterator[Trap]:
    """Keep a trap open for the length of the block."""
    received = bytearray()

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(4096):
            received.extend(piece)

    with listening(record, host=host, tls=tls) as listener:
        yield Trap(listener, received)
