"""The regions as an operator lists them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from geo.distance import Coordinates

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SUBNET_BITS = {4: 24, 6: 56}
"""What resolvers tell of a client's address at the most, by its version (RFC 7871, 11.1)."""


@dataclass(frozen=True, slots=True)
class Region:
    """One region.

    addresses: where it answers the shared name. host: its own name. networks: whose clients are
    its own. weight: its share of clients that must leave another region. fallback: who takes its
    own clients first. ready_url: what to ask whether it can serve; none: the way to its addresses.
    """

    name: str
    number: int | None
    coordinates: Coordinates
    addresses: tuple[Address, ...]
    host: str = ""
    networks: tuple[Network, ...] = ()
    weight: int = 1
    fallback: tuple[str, ...] = ()
    is_drained: bool = False
    ready_url: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All regions, in the file's order. default: where a client goes of whom nothing is known."""

    regions: tuple[Region, ...]
    default: str
    _by_name: Mapping[str, Region] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {each.name: each for each in self.regions})

    def region(self, name: str) -> Region | None:
        """Give the region of a name; None: it isn't in the catalogue."""
        return self._by_name.get(name)
