"""Times the decision for an address by itself: `python -m loadtest.bench.locating DATABASE`.

A process of its own, since it is the only part of the load tools that imports `geo`. It prints one
JSON object: nanoseconds for each address, by what finds it.
"""

import json
import random
import sys
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path

from geo.catalogue import Catalogue, Network, Region
from geo.known import known_regions
from geo.location import Locations
from geo.nearness import Nearness
from geo.situation import Situation

NETWORKS = 10_000
ADDRESSES = 20_000
ROUNDS = 5
PLACED = tuple(
    ip_network(text)
    for text in ("2.2.3.0/24", "67.43.156.0/24", "175.16.199.0/24", "214.78.120.0/22")
) + tuple(ip_network("202.196.224.0/20").subnets(new_prefix=24))
"""Networks of MaxMind's city test file. A place is kept for each /24."""


def main() -> int:
    """Measure and print."""
    source = random.Random(11)
    catalogue, networks = _catalogue(source)
    database = Path(sys.argv[1])
    near = Nearness(catalogue, Situation({}, {}), _opened(database).place_of)
    located = [_in(source, source.choice(networks)) for _ in range(ADDRESSES)]
    placed = [_in(source, source.choice(PLACED)) for _ in range(ADDRESSES)]
    print(
        json.dumps(
            {
                "network": min(_nanoseconds(near, located) for _ in range(ROUNDS)),
                "database": min(_nanoseconds(near, placed) for _ in range(ROUNDS)),
                "first": _first(catalogue, database),
                "networks": len(networks),
                "regions": len(catalogue.regions),
            }
        )
    )
    return 0


def _first(catalogue: Catalogue, database: Path) -> float:
    """Time addresses of which each is the first of its /24, so that its record is decoded."""
    spent = asked = 0.0
    for _ in range(200):
        near = Nearness(catalogue, Situation({}, {}), _opened(database).place_of)
        near.rank(PLACED[0][1])  # the order of regions for a place is another thing
        addresses = [network[7] for network in PLACED[4:]]
        near.rank(addresses.pop())
        spent += _nanoseconds(near, addresses) * len(addresses)
        asked += len(addresses)
    return spent / asked


def _nanoseconds(near: Nearness, addresses: Iterable[object]) -> float:
    asked = list(addresses)
    began = time.perf_counter_ns()
    for address in asked:
        near.rank(address)  # type: ignore[arg-type]  # addresses of either version
    return (time.perf_counter_ns() - began) / len(asked)


def _opened(database: Path) -> Locations:
    locations = Locations(database)
    locations.open()
    return locations


def _catalogue(source: random.Random) -> tuple[Catalogue, list[IPv4Network]]:
    """Give every region that is known by name, with nested networks of 10.0.0.0/8 and more."""
    known = list(known_regions().values())
    blocks: set[IPv4Network] = set()
    while len(blocks) < NETWORKS:
        first, length = source.choice((10, 100, 172)), source.randint(14, 28)
        number = (first << 24) | source.getrandbits(24)
        blocks.add(IPv4Network((number, length), strict=False))
    networks = sorted(blocks)
    source.shuffle(networks)
    shares: list[tuple[Network, ...]] = [
        tuple(networks[index :: len(known)]) for index in range(len(known))
    ]
    regions = tuple(
        Region(
            each.name,
            each.number,
            each.coordinates,
            (IPv4Address(f"192.0.2.{1 + index % 200}"),),
            networks=share,
        )
        for index, (each, share) in enumerate(zip(known, shares, strict=True))
    )
    return Catalogue(regions, regions[0].name), networks


def _in(source: random.Random, network: Network) -> object:
    return network[source.randrange(network.num_addresses)]


if __name__ == "__main__":
    sys.exit(main())
