"""Networks as a set of addresses: flattened into disjoint ranges, looked up by bisection.

However many networks there are, nested or side by side, a look-up takes the same few steps. An IPv4
address within IPv6 is none of an IPv6 network: whoever reads addresses makes it IPv4 before.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from proxy.web.forwarding import Address, Network


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Numbers from each of *starts* to the one of *stops* beside it, both included; in order."""

    starts: tuple[int, ...] = ()
    stops: tuple[int, ...] = ()

    @classmethod
    def of(cls, networks: Iterable[Network]) -> Self:
        starts: list[int] = []
        stops: list[int] = []
        for start, stop in sorted(map(_bounds, networks)):
            if stops and start <= stops[-1] + 1:
                stops[-1] = max(stops[-1], stop)
            else:
                starts.append(start)
                stops.append(stop)
        return cls(tuple(starts), tuple(stops))

    def include(self, number: int) -> bool:
        place = bisect_right(self.starts, number) - 1
        return place >= 0 and number <= self.stops[place]


@dataclass(frozen=True, slots=True)
class Networks:
    """The addresses of some networks, of both versions of IP."""

    four: _Ranges
    six: _Ranges

    @classmethod
    def of(cls, networks: Iterable[Network]) -> Self:
        """Give the set of all addresses of *networks*."""
        known = tuple(networks)
        return cls(*(_Ranges.of(each for each in known if each.version == v) for v in (4, 6)))

    def __contains__(self, address: Address) -> bool:
        ranges = self.four if address.version == 4 else self.six
        return ranges.include(int(address))


def _bounds(network: Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)
