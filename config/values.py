"""The values settings are made of, and the text each is written as.

Every parser takes the text of a setting, gives the value, and raises ValueError for any other text.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NewType

Network = IPv4Network | IPv6Network

Duration = NewType("Duration", float)
"""A span of time in seconds."""

ByteSize = NewType("ByteSize", int)
"""A number of bytes."""

BytesPerSecond = NewType("BytesPerSecond", int)
"""A rate."""

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_BYTES = {
    "": 1,
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
}
_BITS = {f"{letter}bit": 1000**power for power, letter in enumerate("kMGT", 1)}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SIZE = re.compile(r"([0-9]+)(B|[KMGT]i?B)?")
_RATE = re.compile(r"([0-9]+)([kMGT]bit)")
_ADDRESS = re.compile(r"(?:\[([^\[\]]+)\]|([0-9.]+)):([0-9]{1,5})")

_LABEL = r"[a-z0-9](?:-*[a-z0-9])*"
_AUTHORITY = rf"({_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::([0-9]{{1,5}}))?"
_HOST = re.compile(_AUTHORITY)
_ORIGIN = re.compile(rf"(https?)://{_AUTHORITY}/?")
_DEFAULT_PORT = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address and a port: where to listen (port 0: any free one) or what to connect to.

    Shape: host is an IPv4 or IPv6 literal without brackets; str() is "10.0.0.5:443", "[::1]:443".
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"{bracketed(self.ip)}:{self.port}"

    @property
    def ip(self) -> IPv4Address | IPv6Address:
        return ip_address(self.host)


class Secret:
    """A text that no log, message or dump shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


def parse_duration(text: str) -> Duration:
    """Give the seconds of a text such as "250ms", "60s", "1.5m" or "24h"."""
    number, unit = _groups(_DURATION, text)
    return Duration(float(number) * _SECONDS[unit])


def parse_size(text: str) -> ByteSize:
    """Give the bytes of a text such as "8KiB" (1024), "500GB" (1000) or "4096"."""
    number, unit = _groups(_SIZE, text)
    return ByteSize(int(number) * _BYTES[unit])


def parse_rate(text: str) -> BytesPerSecond:
    """Give the bytes a second of a text such as "1Gbit", "200Mbit" (1000) or "50MiB"."""
    if not text.endswith("bit"):
        return BytesPerSecond(parse_size(text))
    number, unit = _groups(_RATE, text)
    return BytesPerSecond(int(number) * _BITS[unit] // 8)


def parse_address(text: str) -> Address:
    """Give the address of a text such as "127.0.0.1:5001" or "[::]:443"."""
    six, four, port = _groups(_ADDRESS, text)
    ip = IPv6Address(six) if six else IPv4Address(four)
    return Address(str(ip), _port(port, minimum=0))


def parse_network(text: str) -> Network:
    """Give the network of a text such as "10.0.0.0/8", "fd00::/8" or "10.1.2.3".

    One of IPv4 addresses within IPv6 would hold no client: those are known by their IPv4 address.
    """
    network = ip_network(text)
    if "%" in text:  # clients are known without their zone
        raise ValueError(text)
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise ValueError(text)
    return network


def parse_host(text: str) -> str:
    """Give the host of a Host header, in lower case: "example.com", "example.com:5000", "[::1]"."""
    host, port = _groups(_HOST, text.lower())
    return _authority(host, port)


def parse_origin(text: str) -> str:
    """Give the origin of an http or https URL that has no user, path, query or fragment.

    Shape: "https://example.com", "https://example.com:5000": lower case, default port dropped.
    """
    scheme, host, port = _groups(_ORIGIN, text.lower())
    if port and int(port) == _DEFAULT_PORT[scheme]:
        port = ""
    return f"{scheme}://{_authority(host, port)}"


def host_of(origin_or_host: str) -> str:
    """Give the host without scheme and port: "https://[::1]:443" -> "[::1]"."""
    host, _port = _groups(_HOST, origin_or_host.rpartition("//")[2])
    return host


def bracketed(ip: IPv4Address | IPv6Address) -> str:
    """Give an IP address as the authority of a URL writes it."""
    return f"[{ip}]" if ip.version == 6 else str(ip)


def _groups(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return match.groups(default="")


def _authority(host: str, port: str) -> str:
    host = _canonical_host(host)
    return f"{host}:{_port(port, minimum=1)}" if port else host


def _canonical_host(host: str) -> str:
    if host.startswith("["):
        return bracketed(IPv6Address(host[1:-1]))
    if host.replace(".", "").isdigit():
        return str(IPv4Address(host))
    return host


def _port(text: str, minimum: int) -> int:
    port = int(text)
    if not minimum <= port <= 65_535:
        raise ValueError(text)
    return port
