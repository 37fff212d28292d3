"""Catalogues and addresses for tests of where a client goes."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from geo.catalogue import Address, Catalogue, Network, Region
from geo.distance import Coordinates
from geo.known import known_region

MIDDLE_OF_NOWHERE = Coordinates(0.0, -150.0)


def region(name: str, *networks: str, **more: Any) -> Region:
    """Give a region where a known one of its name is, and an address from its name."""
    known = known_region(name)
    more.setdefault("coordinates", known.coordinates if known else MIDDLE_OF_NOWHERE)
    more.setdefault("addresses", (address_of(name),))
    more.setdefault("number", None)
    return Region(name=name, networks=blocks(*networks), **more)


def catalogue(*regions: Region, default: str = "") -> Catalogue:
    """Give a catalogue; without a default it is the first region."""
    return Catalogue(tuple(regions), default or regions[0].name)


def address_of(name: str) -> Address:
    """Give an address that stands for a name."""
    return ip_address(f"203.0.113.{1 + sum(name.encode()) % 254}")


def blocks(*texts: str) -> tuple[Network, ...]:
    """Give blocks of addresses."""
    return tuple(ip_network(each) for each in texts)


def names_of(ranked: Sequence[Any]) -> list[str]:
    """Give the names of ranked regions."""
    return [each.region.name for each in ranked]
