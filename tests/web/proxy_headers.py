"""PROXY headers as front ends write them, independently of what reads them."""

from collections.abc import Mapping
from ipaddress import ip_address
from types import MappingProxyType

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
ADDRESS_BYTES: Mapping[int, int] = MappingProxyType({4: 4, 6: 16})
LONGEST_TAIL = 65_535

CLIENT = "203.0.113.9"
CLIENT6 = "2001:db8::9"


def text_header(source: str, port: int = 40_000) -> bytes:
    """Give a version 1 header that names a client."""
    version = ip_address(source).version
    destination = "198.51.100.1" if version == 4 else "2001:db8::1"
    return f"PROXY TCP{version} {source} {destination} {port} 443\r\n".encode()


def binary_header(source: str, port: int = 40_000, tail: bytes = b"") -> bytes:
    """Give a version 2 header that names a client; *tail* stands for TLVs."""
    address = ip_address(source)
    block = address.packed + bytes(len(address.packed)) + port.to_bytes(2) + (443).to_bytes(2)
    return raw_header(0x21, 0x11 if address.version == 4 else 0x21, block + tail)


def raw_header(command: int, family: int, rest: bytes) -> bytes:
    """Give a version 2 header of any content."""
    return SIGNATURE + bytes((command, family)) + len(rest).to_bytes(2) + rest


UNKNOWN = b"PROXY UNKNOWN\r\n"
LONGEST_UNKNOWN = (
    b"PROXY UNKNOWN " + b" ".join((b"f" * 39, b"f" * 39, b"65535", b"65535")) + b"\r\n"
)
LOCAL = raw_header(0x20, 0x00, b"")
SPEAKS_FOR_ITSELF: Mapping[str, bytes] = MappingProxyType(
    {
        "v1 UNKNOWN": UNKNOWN,
        "v1 UNKNOWN, the longest": LONGEST_UNKNOWN,
        "v2 LOCAL": LOCAL,
        "v2 LOCAL with addresses": raw_header(0x20, 0x11, bytes(12)),
        "v2 LOCAL of a family that is none": raw_header(0x20, 0xFF, bytes(5)),
        "v2 UNSPEC": raw_header(0x21, 0x00, b""),
        "v2 UNSPEC with TLVs": raw_header(0x21, 0x00, bytes(300)),
        "v2 UDP": raw_header(0x21, 0x12, bytes(12)),
        "v2 UDP over IPv6": raw_header(0x21, 0x22, bytes(36)),
        "v2 unix": raw_header(0x21, 0x31, bytes(216)),
    }
)
MALFORMED: Mapping[str, bytes] = MappingProxyType(
    {
        "HTTP": b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "TLS": bytes.fromhex("160301020001000001fc0303"),
        "v1 too long": b"PROXY UNKNOWN " + b"f" * 93,
        "v1 of no family": b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "v1 of a family too few": b"PROXY TCP4 2001:db8::9 2001:db8::1 1 2\r\n",
        "v1 without ports": b"PROXY TCP4 1.2.3.4 1.2.3.4\r\n",
        "v1 with two spaces": b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        "v1 with a space behind": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "v1 with a zero before a port": b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "v1 with a zero in an address": b"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
        "v1 with a port too high": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "v1 with an address too high": b"PROXY TCP4 1.2.3.4 1.2.3.256 1 2\r\n",
        "v1 with a scope": b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
        "v1 with a line's end within": b"PROXY TCP4 1.2.3.4\n1.2.3.4 1 2\r\n",
        "v1 unlike UNKNOWN": b"PROXY UNKNOWNS\r\n",
        "v1 in lower case": b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "v2 of version 1": raw_header(0x11, 0x11, bytes(12)),
        "v2 of version 3": raw_header(0x31, 0x11, bytes(12)),
        "v2 of no command": raw_header(0x22, 0x11, bytes(12)),
        "v2 of no family": raw_header(0x21, 0x41, bytes(12)),
        "v2 of no transport": raw_header(0x21, 0x13, bytes(12)),
        "v2 too short": raw_header(0x21, 0x11, bytes(11)),
        "v2 IPv6 too short": raw_header(0x21, 0x21, bytes(12)),
        "v2 unix too short": raw_header(0x21, 0x31, bytes(12)),
        "v2 with another signature": SIGNATURE[:-1] + b"\r" + bytes(20),
    }
)
