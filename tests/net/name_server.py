"""A DNS server of a few lines: A and AAAA records of the test's choice over UDP (RFC 1035, 4.1)."""

import asyncio
import ipaddress
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from tests.support.ports import LOOPBACK

TYPES = {1: "A", 28: "AAAA"}
NO_SUCH_NAME = 3
SERVER_FAILURE = 2
_HEADER = struct.Struct("!6H")
_ANSWER = struct.Struct("!HHHIH")


@dataclass(slots=True)
class NameServer(asyncio.DatagramProtocol):
    """What it answers: addresses of names, an rcode for a name, nothing at all where it is None."""

    records: Mapping[str, list[str] | int | None]
    ttl_seconds: int = 60
    asked: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""
    _transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        host, port = transport.get_extra_info("sockname")
        self.address = f"{host}:{port}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name, question = _question(data)
        kind = TYPES.get(struct.unpack("!H", question[-4:-2])[0], "other")
        self.asked.append((name, kind))
        found = self.records.get(name, NO_SUCH_NAME)
        if found is not None and self._transport is not None:
            self._transport.sendto(self._reply(data[:2], question, kind, found), addr)

    def _reply(self, number: bytes, question: bytes, kind: str, found: list[str] | int) -> bytes:
        rcode = found if isinstance(found, int) else 0
        addresses = [] if isinstance(found, int) else list(map(ipaddress.ip_address, found))
        wanted = [each for each in addresses if kind == ("A" if each.version == 4 else "AAAA")]
        header = _HEADER.pack(int.from_bytes(number), 0x8180 | rcode, 1, len(wanted), 0, 0)
        return header + question + b"".join(map(self._record, wanted))

    def _record(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
        kind = 1 if address.version == 4 else 28
        data = address.packed
        return _ANSWER.pack(0xC00C, kind, 1, self.ttl_seconds, len(data)) + data


def _question(data: bytes) -> tuple[str, bytes]:
    labels: list[str] = []
    position = _HEADER.size
    while length := data[position]:
        labels.append(data[position + 1 : position + 1 + length].decode())
        position += 1 + length
    return ".".join(labels).lower(), data[_HEADER.size : position + 5]


@asynccontextmanager
async def name_server(
    records: Mapping[str, list[str] | int | None], ttl_seconds: int = 60
) -> AsyncIterator[NameServer]:
    """Answer on a free port for the length of the block."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: NameServer(records, ttl_seconds), (LOOPBACK, 0)
    )
    try:
        yield server
    finally:
        transport.close()
