"""The longest block that an address lies in: nested blocks laid flat into disjoint ranges.

Blocks nest or are disjoint, so that a sweep over them in the order of their first address, with a
stack of those that are open, gives the ranges; a lookup is one bisection.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from geo.catalogue import Address, Network

V = TypeVar("V")
Chain = tuple[Network, ...]
"""All blocks that an address lies in, the shortest prefix first; empty outside of all."""
VERSIONS = (4, 6)


class Blocks(Generic[V]):
    """What *value_of* gives for the chain of an address; it is asked once for each range."""

    def __init__(self, networks: Iterable[Network], value_of: Callable[[Chain], V]) -> None:
        outside = value_of(())
        known = set(networks)
        self._tables = {
            version: _flatten(
                [each for each in known if each.version == version], value_of, outside
            )
            for version in VERSIONS
        }

    def find(self, address: Address) -> V:
        """Give the value of the range that the address lies in."""
        starts, values = self._tables[address.version]
        return values[bisect_right(starts, int(address)) - 1]


def _flatten(
    networks: list[Network], value_of: Callable[[Chain], V], outside: V
) -> tuple[list[int], list[V]]:
    starts, values = [0], [outside]
    ordered = sorted(networks, key=lambda each: (int(each.network_address), each.prefixlen))
    stack: list[tuple[Network, int, V]] = []

    def begin(start: int, value: V) -> None:
        if starts[-1] == start:  # the range before is empty
            values[-1] = value
        else:
            starts.append(start)
            values.append(value)

    def close_before(start: int) -> None:
        while stack and stack[-1][1] < start:
            _, last, _ = stack.pop()
            begin(last + 1, stack[-1][2] if stack else outside)

    for network in ordered:
        start = int(network.network_address)
        close_before(start)
        value = value_of((*(each for each, _, _ in stack), network))
        begin(start, value)
        stack.append((network, int(network.broadcast_address), value))
    close_before(1 << 128)
    return starts, values
