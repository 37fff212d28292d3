"""Who a request comes from: the peer or, where the peer is a trusted proxy, whom it names.

What a client writes into X-Forwarded-* itself never counts: the entries that trusted proxies
added are the last ones, so the list is walked from the right, over trusted hops only.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence

from aiohttp import web

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORT = r"(?::[0-9]{1,5})?"
_HOP = re.compile(rf"\[([0-9A-Fa-f:.]+)\]{_PORT}|([0-9.]+){_PORT}|([0-9A-Fa-f:.]+)")


class Forwarding:
    """Reads X-Forwarded-* of trusted proxies."""

    def __init__(self, trusted: tuple[Network, ...]) -> None:
        self._trusted = trusted

    def client(self, request: web.BaseRequest) -> str:
        """Give the address of the client, for the log."""
        peer = peer_of(request)
        if not self._trusted:
            return peer
        return client_behind(peer, _told(request, "X-Forwarded-For"), self._is_trusted_address)

    def trust(self, networks: tuple[Network, ...]) -> None:
        """Believe proxies of these networks from now on, and no others."""
        self._trusted = networks

    def is_trusted(self, peer: str) -> bool:
        """Say whether the address of a peer is that of a trusted proxy."""
        address = address_of(peer)
        return address is not None and self._is_trusted_address(address)

    def scheme(self, request: web.BaseRequest) -> str:
        """Give the scheme that a trusted proxy says the client used; http where none does."""
        told = _told(request, "X-Forwarded-Proto")
        return "https" if told == ["https"] and self.is_trusted(peer_of(request)) else "http"

    def _is_trusted_address(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def peer_of(request: web.BaseRequest) -> str:
    """Give the address at the other end of the connection, be it behind a PROXY header."""
    peer = request.protocol.peername
    return str(peer[0]) if isinstance(peer, tuple) else ""


def _told(request: web.BaseRequest, name: str) -> list[str]:
    """Give the lines of a header; a request that the parser refused has no multidict of them."""
    return request.headers.getall(name, []) if request.headers else []


def client_behind(peer: str, lines: Sequence[str], is_trusted: Callable[[Address], bool]) -> str:
    """Give the first address, seen from us, that is no trusted proxy; all lines make one list.

    An entry that can't be read makes the whole list worthless: then it is the peer.
    """
    nearest = address_of(peer)
    if nearest is None or not is_trusted(nearest):
        return peer
    for hop in reversed(",".join(lines).split(",") if lines else []):
        address = address_of(hop.strip())
        if address is None:
            return peer
        nearest = address
        if not is_trusted(address):
            break
    return str(nearest)


def address_of(text: str) -> Address | None:
    """Read an IP address as proxies write it: bare, in brackets, with a port, IPv4 within IPv6."""
    match = _HOP.fullmatch(text)
    if match is None:
        return None
    try:
        address = ipaddress.ip_address(next(filter(None, match.groups())))
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
