"""A client in each region: whose answer stands for that of all clients there."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from geo.catalogue import SUBNET_BITS, Address, Network, Region
from geo.nearness import Nearness, PlaceOf
from geo.place import Place
from geo.ranking import By
from hub.dns.state import GeoState


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """A client. subnet: what a resolver tells of it. is_sure: a network says that it is there."""

    region: Region
    client: Address
    subnet: Network
    is_sure: bool


def nearness_of(state: GeoState, place_of: PlaceOf, before: Nearness | None = None) -> Nearness:
    """Give the decision in a state. before: the one in the state until now."""
    return Nearness(state.catalogue, state.situation, place_of, state.spread, before)


def nobody_knows(_: Address) -> Place | None:
    """Stand in for a database where there is none."""
    return None


def viewpoint_of(region: Region, state: GeoState, nearness: Nearness) -> Viewpoint | None:
    """Give a client that is in a region; None: neither networks nor addresses tell of one.

    That is one of its networks; where it has none, an address of its own: a database will have
    it there, and it lies in no network of another region.
    """
    for network, client in _clients(region, state):
        if nearness.rank(client).network == network:
            return Viewpoint(region, client, _subnet(client, network.prefixlen), is_sure=True)
    for client in region.addresses:
        if client.is_global and nearness.rank(client).by is not By.NETWORK:
            return Viewpoint(region, client, _subnet(client, 0), is_sure=False)
    return None


def _clients(region: Region, state: GeoState) -> Iterator[tuple[Network, Address]]:
    """Give addresses in the networks of a region; parts of them may be another region's."""
    for network in (*state.situation.linked.get(region.name, ()), *region.networks):
        yield network, network[0]
        yield network, network[-1]


def _subnet(client: Address, at_least_bits: int) -> Network:
    bits = max(SUBNET_BITS[client.version], at_least_bits)
    return ip_network(f"{client}/{bits}", strict=False)
