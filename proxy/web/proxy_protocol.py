"""The PROXY protocol, versions 1 and 2: what a front end says before a connection's first byte.

Source: proxy-protocol.txt of haproxy, 2.1 (a line of text) and 2.2 (binary). A header without an
address that stands for the client leaves the peer: LOCAL, UNKNOWN, UNSPEC, and the transports that
aren't TCP, which a receiver may treat as UNSPEC. What follows the addresses (TLVs) is skipped.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
MAX_TEXT_BYTES = 107
FIXED_BYTES = 16
"""Signature, version and command, family and transport, length of the rest."""

Endpoint = tuple[str, int]
"""An IP address, as `ipaddress` writes it, and a port."""

_TEXT = b"PROXY "
_UNKNOWN = b"PROXY UNKNOWN"
_PORTS = rb"(0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})"
_TCP4 = re.compile(rb"PROXY TCP4 ([0-9.]+) ([0-9.]+) " + _PORTS)
_TCP6 = re.compile(rb"PROXY TCP6 ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) " + _PORTS)

_LOCAL, _PROXY = 0x20, 0x21
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}
_BLOCK_BYTES = {0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}
_HIGHEST_FAMILY, _HIGHEST_TRANSPORT = 3, 2


class MalformedHeader(ValueError):
    """What a connection begins with is no PROXY header."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header of *size_bytes*; *source* is the client, None where the peer speaks for itself."""

    size_bytes: int
    source: Endpoint | None = None


def parse(data: bytes) -> Header | None:
    """Give the header that *data*, a connection's first bytes, begins with; None: more is needed.

    A version 2 header is given as soon as its addresses are there, perhaps before its last byte.

    Raises: MalformedHeader: whatever comes, it is none.
    """
    if SIGNATURE.startswith(data[: len(SIGNATURE)]):
        return _binary(data)
    if _TEXT.startswith(data[: len(_TEXT)]):
        return _text(data)
    raise MalformedHeader("a PROXY header was expected")


# --- version 1 ------------------------------------------------------------------------------------


def _text(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, MAX_TEXT_BYTES)
    if end < 0:
        if len(data) >= MAX_TEXT_BYTES:
            raise MalformedHeader(f"no line of at most {MAX_TEXT_BYTES} bytes")
        return None
    return Header(end + 2, _text_source(data[:end]))


def _text_source(line: bytes) -> Endpoint | None:
    if line == _UNKNOWN or line.startswith(_UNKNOWN + b" "):
        return None
    if match := _TCP4.fullmatch(line):
        return _text_endpoint(IPv4Address, match)
    if match := _TCP6.fullmatch(line):
        return _text_endpoint(IPv6Address, match)
    raise MalformedHeader("not of the form of version 1")


def _text_endpoint(version: type[IPv4Address | IPv6Address], match: re.Match[bytes]) -> Endpoint:
    """Give the source; both addresses and both ports have to be ones."""
    source, destination, *ports = (group.decode("ascii") for group in match.groups())
    try:
        version(destination)
        address = version(source)
    except ValueError as exc:
        raise MalformedHeader("an address that is none") from exc
    if max(map(int, ports)) > 65_535:
        raise MalformedHeader("a port that is none")
    return _endpoint(address, int(ports[0]))


# --- version 2 ------------------------------------------------------------------------------------


def _binary(data: bytes) -> Header | None:
    if len(data) < FIXED_BYTES:
        return None
    command, kind = data[12], data[13]
    size_bytes = FIXED_BYTES + int.from_bytes(data[14:16])
    if command == _LOCAL:
        return Header(size_bytes)
    if command != _PROXY or kind >> 4 > _HIGHEST_FAMILY or kind & 0xF > _HIGHEST_TRANSPORT:
        raise MalformedHeader("a version, command or family that is none")
    if size_bytes < FIXED_BYTES + _BLOCK_BYTES.get(kind, 0):
        raise MalformedHeader("too short for its addresses")
    if kind not in _ADDRESS_BYTES:
        return Header(size_bytes)
    if len(data) < FIXED_BYTES + _BLOCK_BYTES[kind]:
        return None
    return Header(size_bytes, _binary_source(data[FIXED_BYTES:], _ADDRESS_BYTES[kind]))


def _binary_source(block: bytes, width: int) -> Endpoint:
    """Shape: source and destination address of *width* bytes each, then their ports."""
    port = int.from_bytes(block[2 * width : 2 * width + 2])
    return _endpoint(ip_address(block[:width]), port)


def _endpoint(address: IPv4Address | IPv6Address, port: int) -> Endpoint:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address), port
