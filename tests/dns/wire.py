"""DNS messages that dig doesn't send: any bytes for the client's subnet, and many at once."""

import asyncio
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import cast

import dns.edns
import dns.message
import dns.rcode

from tests.support.ports import LOOPBACK

IP_AND_UDP_BYTES = 28
SUBNET_OPTION = 8
LOST_SECONDS = 2.0


def subnet_option(family: int, source: int, scope: int, address: bytes) -> bytes:
    """Give the option's data as RFC 7871, 6 lays it out, whatever is in it."""
    return struct.pack("!HBB", family, source, scope) + address


def question(name: str, kind: str, subnet: bytes | None = None, *, edns: bool = True) -> bytes:
    """Give a query."""
    options: list[dns.edns.Option] = []
    if subnet is not None:
        options = [dns.edns.GenericOption(SUBNET_OPTION, subnet)]
    use = 0 if edns else False
    made = dns.message.make_query(name, kind, use_edns=use, options=options or None, flags=0)
    return made.to_wire()


@dataclass(frozen=True, slots=True)
class Said:
    """An answer over UDP."""

    status: str
    values: frozenset[str]
    size_bytes: int


def ask(port: int, query: bytes, source: str = LOOPBACK) -> Said:
    """Send a query from an address of this machine, and give the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.bind((source, 0))
        client.sendto(query, (LOOPBACK, port))
        data = client.recv(65_535)
    message = dns.message.from_wire(data, ignore_trailing=True)
    values = frozenset(record.to_text() for each in message.answer for record in each)
    return Said(dns.rcode.to_text(message.rcode()), values, len(data))


class _Flood(asyncio.DatagramProtocol):
    """Sends queries, a bounded number at once, and counts the answers."""

    def __init__(self, queries: Iterator[bytes], at_once: int) -> None:
        self._queries = queries
        self._at_once = at_once
        self.answers = 0
        self.done = asyncio.Event()
        self._waiting = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.fill()

    def fill(self) -> None:
        """Send as many as may wait at once; what waits so far is given up."""
        self._waiting = 0
        for _ in range(self._at_once):
            self._send()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.answers += 1
        self._waiting -= 1
        self._send()

    def _send(self) -> None:
        query = next(self._queries, None)
        if query is not None:
            self._waiting += 1
            self._transport.sendto(query)
        elif self._waiting <= 0:
            self.done.set()


async def flood(port: int, queries: Iterable[bytes], at_once: int = 30) -> int:
    """Send all of them; give how many were answered: UDP may lose some on a busy machine."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: _Flood(iter(queries), at_once), remote_addr=(LOOPBACK, port)
    )
    try:
        await _progress(protocol)
    finally:
        transport.close()
    return protocol.answers


async def _progress(protocol: _Flood) -> None:
    """Wait for the end; where nothing came for a while, the rest is sent."""
    answers = -1
    while not protocol.done.is_set():
        if protocol.answers == answers:
            protocol.fill()
        answers = protocol.answers
        with suppress(TimeoutError):
            async with asyncio.timeout(LOST_SECONDS):
                await protocol.done.wait()


def spoofed(name: str, number: int, start: int) -> Iterator[bytes]:
    """Give queries for *number* different subnets of /24."""
    template = question(name, "A", subnet_option(1, 24, 0, b"\xfa\xfb\xfc"))
    for each in range(start, start + number):
        subnet = IPv4Address(each << 8).packed[:3]
        yield struct.pack("!H", each & 0xFFFF) + template[2:].replace(b"\xfa\xfb\xfc", subnet)
