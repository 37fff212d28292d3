"""One value of a catalogue to its type. Each raises ValueError that says what was expected."""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, ip_address, ip_network
from math import isfinite
from urllib.parse import urlsplit

from geo.catalogue import Address, Network
from geo.distance import Coordinates
from geo.problems import shown

MAX_NUMBER = 2**31 - 1
MAX_WEIGHT = 1000
MAX_URL_CHARACTERS = 2048
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_NAME.pattern}(?:\.{_NAME.pattern})*")
_URL = re.compile(r"https?://[!-~]+")
_MAPPED = ip_network("::ffff:0:0/96")


def text(raw: object) -> str:
    """Read a text."""
    if not isinstance(raw, str):
        raise ValueError(f"expected a text, not {shown(raw)}")
    return raw


def name(raw: object) -> str:
    """Read a region's name: a label of DNS, since ids and hosts are made of it."""
    if not isinstance(raw, str) or _NAME.fullmatch(raw) is None:
        raise ValueError(f"{shown(raw)}: expected small letters, digits and hyphens, at most 63")
    return raw


def host(raw: object) -> str:
    """Read a host's name, without the dot at its end."""
    if not isinstance(raw, str) or _HOST.fullmatch(raw.lower()) is None:
        raise ValueError(f"{shown(raw)}: expected a host name")
    return raw.lower()


def address(raw: object) -> Address:
    """Read an address on which a region answers."""
    try:
        found = ip_address(text(raw))
    except ValueError:
        raise ValueError(f"{shown(raw)}: expected an IPv4 or IPv6 address") from None
    if found.version == 6 and (found.ipv4_mapped or found.scope_id):
        raise ValueError(f"{shown(raw)}: expected no IPv4-mapped address and no zone")
    if found.is_unspecified or found.is_multicast or found == BROADCAST:
        raise ValueError(f"{shown(raw)}: no region can answer there")
    return found


BROADCAST = ip_address("255.255.255.255")


def network(raw: object) -> Network:
    """Read a block of addresses."""
    if not isinstance(raw, str) or "/" not in raw:
        raise ValueError(f"{shown(raw)}: expected a block such as 10.1.0.0/16")
    try:
        found = ip_network(raw, strict=False)
    except ValueError:
        raise ValueError(f"{shown(raw)}: expected a block such as 10.1.0.0/16") from None
    if "%" in raw:
        raise ValueError(f"{shown(raw)}: expected no zone")
    if _is_mapped(found):
        raise ValueError(f"{shown(raw)}: IPv4-mapped; write the IPv4 block")
    if found.network_address != ip_address(raw.partition("/")[0]):
        raise ValueError(f"{shown(raw)}: has host bits set; meant {found}?")
    return found


def _is_mapped(block: Network) -> bool:
    return not isinstance(block, IPv4Network) and block.subnet_of(_MAPPED)  # type: ignore[arg-type]


def number(raw: object) -> int:
    """Read a region's number."""
    return _whole(raw, MAX_NUMBER)


def weight(raw: object) -> int:
    """Read a weight; to send a region nobody there is `drain`."""
    return _whole(raw, MAX_WEIGHT)


def _whole(raw: object, most: int) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= most:
        raise ValueError(f"{shown(raw)}: expected a whole number, 1 to {most}")
    return raw


def yes_or_no(raw: object) -> bool:
    """Read a choice."""
    if not isinstance(raw, bool):
        raise ValueError(f"{shown(raw)}: expected true or false")
    return raw


def url(raw: object) -> str:
    """Read a URL of HTTP, without a login."""
    problem = ValueError(f"{shown(raw)}: expected a URL such as http://10.1.0.5:9100/readyz")
    if not isinstance(raw, str) or len(raw) > MAX_URL_CHARACTERS or not _URL.fullmatch(raw):
        raise problem
    try:
        parts = urlsplit(raw)
        is_sound = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        raise problem from None
    if not is_sound or "@" in parts.netloc or parts.fragment:
        raise problem
    return raw


def coordinates(raw: object) -> Coordinates:
    """Read latitude and longitude."""
    if isinstance(raw, list) and len(raw) == 2 and all(_is_number(each) for each in raw):
        found = Coordinates(float(raw[0]), float(raw[1]))
        if found.is_on_earth:
            return found
    raise ValueError(f"{shown(raw)}: expected [latitude, longitude] in degrees")


def _is_number(raw: object) -> bool:
    return isinstance(raw, int | float) and not isinstance(raw, bool) and isfinite(raw)


Reader = Callable[[object], object]
