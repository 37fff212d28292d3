"""Who takes a client that has to leave a region: by weight, and the same one each time.

Weighted rendezvous hashing. Each round draws among the first few of the order; a region that is
drawn and can't be used is struck out, and the next round draws anew with the next of the order
let in. So a region that fails moves the clients that it had, and nobody else's.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from math import log

from geo.catalogue import SUBNET_BITS, Address, Region

UNIT_BITS = 64


def client_key(client: Address | None) -> bytes:
    """Give what stands for a client's network: its clients stay together."""
    if client is None:
        return b""
    kept = SUBNET_BITS[client.version]
    return b"%d:%x" % (client.version, int(client) >> (client.max_prefixlen - kept))


def draw(
    client: bytes,
    leaving: str,
    order: Sequence[Region],
    spread: int,
    may_use: Callable[[Region], bool],
) -> Region:
    """Give the region of *order*, of which one at least can be used, that takes the client."""
    left = list(order)
    while True:
        drawn = min(left[:spread], key=lambda each: _time(client, leaving, each))
        if may_use(drawn):
            return drawn
        left.remove(drawn)
        leaving = drawn.name


def _time(client: bytes, leaving: str, region: Region) -> float:
    """Give when the region's clock would ring, which runs at its weight: the first one wins."""
    text = b"%b\0%b\0%b" % (client, leaving.encode(), region.name.encode())
    number = int.from_bytes(blake2b(text, digest_size=UNIT_BITS // 8).digest(), "big")
    return -log((number + 1) / (1 << UNIT_BITS)) / region.weight
