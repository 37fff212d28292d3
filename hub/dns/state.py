"""What the hub says of the regions, read: all of it holds together, or none of it is used."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from geo.catalogue import Catalogue, Network
from geo.problems import CatalogueInvalid
from geo.reading import catalogue_of
from geo.situation import Situation, Standing

MAX_REVISION_CHARACTERS = 256
MAX_TTL_SECONDS = 86_400
MAX_SPREAD = 1_000
_REVISION = re.compile(r"[!-~]+")

Document = Mapping[str, Any]


class StateInvalid(Exception):
    """It can't be used; the text says why."""


@dataclass(frozen=True, slots=True)
class GeoState:
    """One state of all regions. domain: the shared name as the hub knows it, without a port."""

    revision: str
    domain: str
    ttl_seconds: int
    spread: int
    catalogue: Catalogue
    situation: Situation


def read_state(document: object) -> GeoState:
    """Give the state that a document of `GET /v1/geo` tells. Raises: StateInvalid."""
    if not isinstance(document, dict):
        raise StateInvalid("expected an object")
    catalogue = _catalogue(document)
    names = {each.name for each in catalogue.regions}
    return GeoState(
        revision=read_revision(document),
        domain=_text(document, "domain").rpartition("//")[2].partition(":")[0].lower(),
        ttl_seconds=_number(document, "ttl_seconds", MAX_TTL_SECONDS),
        spread=_number(document, "spread", MAX_SPREAD),
        catalogue=catalogue,
        situation=Situation(_standings(document, names), _linked(document, names)),
    )


def read_revision(document: Document) -> str:
    """Give what a state is called. Raises: StateInvalid."""
    revision = _text(document, "revision")
    if len(revision) > MAX_REVISION_CHARACTERS or _REVISION.fullmatch(revision) is None:
        raise StateInvalid("revision: expected a text without spaces")
    return revision


def _catalogue(document: Document) -> Catalogue:
    try:
        return catalogue_of(document.get("catalogue"))
    except CatalogueInvalid as exc:
        raise StateInvalid(f"catalogue: {exc}") from exc


def _text(document: Document, key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise StateInvalid(f"{key}: expected a text")
    return value


def _number(document: Document, key: str, most: int) -> int:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= most:
        raise StateInvalid(f"{key}: expected a number, 1 to {most}")
    return int(value)


def _standings(document: Document, names: set[str]) -> dict[str, Standing]:
    given = _by_region(document, "standings", names)
    try:
        return {name: Standing(value) for name, value in given.items()}
    except ValueError as exc:
        raise StateInvalid(f"standings: expected {', '.join(Standing)}") from exc


def _linked(document: Document, names: set[str]) -> dict[str, tuple[Network, ...]]:
    given = _by_region(document, "linked", names)
    try:
        return {name: tuple(map(_network, value)) for name, value in given.items()}
    except (TypeError, ValueError) as exc:
        raise StateInvalid(f"linked: expected lists of networks: {exc}") from exc


def _network(value: object) -> Network:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return ip_network(value)


def _by_region(document: Document, key: str, names: set[str]) -> dict[str, Any]:
    """Give what is told of regions; of one that the catalogue hasn't, nothing follows."""
    given = document.get(key, {})
    if not isinstance(given, dict):
        raise StateInvalid(f"{key}: expected an object")
    return {name: value for name, value in given.items() if name in names}
