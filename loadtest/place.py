"""Regions on this machine: each has a network of its own on loopback, 127.N.0.0/16."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loadtest.programs.settings import Section, as_toml


@dataclass(frozen=True, slots=True)
class Place:
    """A region, its network here, and how far it is from the primary."""

    name: str
    number: int
    round_trip_seconds: float = 0.0

    @property
    def network(self) -> str:
        """The addresses of the region's clients."""
        return f"127.{self.number}.0.0/16"

    @property
    def address(self) -> str:
        """Where its replica answers the shared name."""
        return f"127.{self.number}.0.1"

    def client(self, subnet: int = 0) -> str:
        """Give a client's address; each has a /24 of its own."""
        return f"127.{self.number}.{subnet}.50"

    @property
    def table(self) -> Section:
        """Its table in a catalogue of regions."""
        return {"addresses": [self.address], "networks": [self.network]}


def write_catalogue(path: Path, places: Iterable[Place], ready: str = "") -> None:
    """Write the catalogue of some regions, of which the first is the default.

    ready: URL where a region tells of its health, with ADDRESS in it.
    """
    regions = tuple(places)
    tables = []
    for place in regions:
        told = {"ready": ready.replace("ADDRESS", place.address)} if ready else {}
        tables.append(as_toml({f"regions.{place.name}": {**place.table, **told}}))
    path.write_text("\n".join([f'default = "{regions[0].name}"\n', *tables]))
