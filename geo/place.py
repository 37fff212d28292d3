"""Where an address is, as a record of a database has it.

Vendors agree on the file format, not on what a record holds: MaxMind and DB-IP nest
(`location.latitude`, `country.iso_code`), IPinfo and others are flat, with numbers as text
(`lat`, `lng`, `country_code`).
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

from geo.distance import Coordinates
from geo.known import country_centres

MAX_LABEL_CHARACTERS = 80
_NOWHERE = Coordinates(0.0, 0.0)
"""In the sea; what is written where nothing is known."""
_PAIRS = (("latitude", "longitude"), ("lat", "lng"), ("lat", "lon"))
_CODES = ("country_code", "country", "registered_country")


class Place(NamedTuple):
    """A point, and what people call it: "Linköping, SE", or the country alone.

    is_country: the point is the country's middle, since the database says no more.
    """

    coordinates: Coordinates
    label: str
    is_country: bool


def place_in(record: object) -> Place | None:
    """Give the place that a record tells of; None: it tells of none. It may hold anything."""
    if not isinstance(record, Mapping):
        return None
    code = _code(record)
    found = _point(record.get("location")) or _point(record)
    if found is not None:
        label = ", ".join(each for each in (_city(record), code) if each)
        return Place(found, label, is_country=False)
    centre = country_centres().get(code)
    return Place(centre, code, is_country=True) if centre else None


def _point(record: object) -> Coordinates | None:
    if not isinstance(record, Mapping):
        return None
    for north, east in _PAIRS:
        found = Coordinates(_degrees(record.get(north)), _degrees(record.get(east)))
        if found.is_on_earth and found != _NOWHERE:
            return found
    return None


def _degrees(raw: object) -> float:
    """Give a number, of a text too; not a number: it isn't one."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return float("nan")
    try:
        found = float(raw)
    except (ValueError, OverflowError):
        return float("nan")
    return found if isfinite(found) else float("nan")


def _code(record: Mapping[Any, Any]) -> str:
    """Give the country's code; empty: there is none."""
    for key in _CODES:
        raw = record.get(key)
        if isinstance(raw, Mapping):
            raw = raw.get("iso_code")
        if isinstance(raw, str) and len(raw) == 2 and raw.isascii() and raw.isalpha():
            return raw.upper()
    return ""


def _city(record: Mapping[Any, Any]) -> str:
    raw = record.get("city")
    if isinstance(raw, Mapping):
        names = raw.get("names")
        raw = names.get("en") if isinstance(names, Mapping) else None
    if not isinstance(raw, str) or not raw.isprintable():
        return ""
    return raw[:MAX_LABEL_CHARACTERS]
