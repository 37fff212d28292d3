"""Whose networks an address lies in, and which regions would let it in.

A region's networks say who its clients are, those of the catalogue and those that were linked. The
linked ones are its access list too: a region that has one is closed to all others.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from geo.blocks import Blocks, Chain
from geo.catalogue import Address, Catalogue, Network, Region


@dataclass(frozen=True, slots=True)
class Spot:
    """What the networks say of an address.

    network: the longest match. owners: whose that is. entered: who would let the address in.
    key: the same for all spots that lead to the same orders. why: in words.
    """

    network: Network | None
    owners: tuple[Region, ...]
    entered: frozenset[str]
    key: int
    why: str


class Territory:
    """The networks of a catalogue, with those that are linked to its regions."""

    def __init__(self, catalogue: Catalogue, linked: Mapping[str, tuple[Network, ...]]) -> None:
        names = frozenset(each.name for each in catalogue.regions)
        self._linked = {
            name: frozenset(each) for name, each in linked.items() if each and name in names
        }
        self._owners = self._owners_by_network(catalogue)
        self._open = names.difference(self._linked)
        self._keys: dict[tuple[tuple[str, ...], frozenset[str]], int] = {}
        self._entered: dict[frozenset[str], frozenset[str]] = {}
        self._spots = Blocks(self._owners, self._spot)
        self.everywhere = names
        self.nowhere = self._spot_of(None, (), names)

    def find(self, address: Address) -> Spot:
        """Give what the networks say of an address; not an IPv4-mapped one."""
        return self._spots.find(address)

    def of_region(self, region: Region) -> Spot:
        """Give the spot of a region's clients, whatever their addresses."""
        return self._spot_of(None, (region,), self._open | {region.name})

    def _owners_by_network(self, catalogue: Catalogue) -> dict[Network, tuple[Region, ...]]:
        """Give whose each network is, in the catalogue's order."""
        owners: dict[Network, tuple[Region, ...]] = {}
        for region in catalogue.regions:
            for network in {*region.networks, *self._linked.get(region.name, ())}:
                owners[network] = (*owners.get(network, ()), region)
        return owners

    def _spot(self, chain: Chain) -> Spot:
        entered = self._open | {
            name for name, linked in self._linked.items() if not linked.isdisjoint(chain)
        }
        if not chain:
            return self._spot_of(None, (), entered)
        return self._spot_of(chain[-1], self._owners[chain[-1]], entered)

    def _spot_of(
        self, network: Network | None, owners: tuple[Region, ...], entered: frozenset[str]
    ) -> Spot:
        entered = self._entered.setdefault(entered, entered)
        names = tuple(each.name for each in owners)
        key = self._keys.setdefault((names, entered), len(self._keys))
        return Spot(network, owners, entered, key, _words(network, owners))


def _words(network: Network | None, owners: tuple[Region, ...]) -> str:
    if network is not None:
        return f"network {network}"
    return f"in {owners[0].name}" if owners else ""
