"""Regions and countries whose coordinates are shipped, so that a name is enough.

Tencent Cloud's regions carry the number that its API gives them; AWS has names alone. Coordinates
are those of the city, or of the country's middle: near enough to say what is nearest.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from geo.distance import Coordinates

DATA = Path(__file__).with_name("data")
FILES = ("tencent.json", "aws.json")


@dataclass(frozen=True, slots=True)
class KnownRegion:
    """A cloud's region. number: of Tencent's alone. place: its city, for people."""

    name: str
    number: int | None
    coordinates: Coordinates
    place: str


@cache
def known_regions() -> Mapping[str, KnownRegion]:
    """Give all of them by name."""
    found = {
        name: KnownRegion(
            name, each.get("number"), Coordinates(*each["coordinates"]), each["place"]
        )
        for file in FILES
        for name, each in _read(file).items()
    }
    return MappingProxyType(found)


def known_region(name: str) -> KnownRegion | None:
    """Give the region of a name; None: nobody's."""
    return known_regions().get(name)


@cache
def country_centres() -> Mapping[str, Coordinates]:
    """Give the middle of each country by its code (ISO 3166-1, two capital letters)."""
    found = {code: Coordinates(*each) for code, each in _read("countries.json").items()}
    return MappingProxyType(found)


def _read(file: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DATA / file).read_text(encoding="utf-8"))
    return document
