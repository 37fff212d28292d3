"""A catalogue of TOML, or of the hub's JSON: both have one form.

All problems are told at once. The document that `document_of` gives carries number and coordinates
always, so that whoever reads it needs no newer list of known regions.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from geo import values
from geo.catalogue import Catalogue, Region
from geo.known import known_region
from geo.lines import Path, lines_of
from geo.problems import CatalogueInvalid, Problem, shown
from geo.values import Reader

MAX_CHARACTERS = 8 * 1024 * 1024
MAX_REGIONS = 1000
KEY_SHOWN = 64
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")


class Field(NamedTuple):
    """A key of a region's table.

    attribute: of `Region`. is_unique: no value stands twice in the catalogue.
    """

    attribute: str
    read: Reader
    is_list: bool = False
    is_unique: bool = False


FIELDS: Mapping[str, Field] = {
    "addresses": Field("addresses", values.address, is_list=True, is_unique=True),
    "host": Field("host", values.host, is_unique=True),
    "networks": Field("networks", values.network, is_list=True, is_unique=True),
    "weight": Field("weight", values.weight),
    "fallback": Field("fallback", values.name, is_list=True),
    "drain": Field("is_drained", values.yes_or_no),
    "ready": Field("ready_url", values.url),
    "number": Field("number", values.number, is_unique=True),
    "coordinates": Field("coordinates", values.coordinates),
}


def read_catalogue(text: str) -> Catalogue:
    """Read a catalogue file. Raises: CatalogueInvalid: with all problems."""
    if len(text) > MAX_CHARACTERS:
        raise CatalogueInvalid([Problem(0, f"longer than {MAX_CHARACTERS} characters")])
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise CatalogueInvalid([_syntax(str(exc), text)]) from exc
    except (RecursionError, ValueError) as exc:
        raise CatalogueInvalid([Problem(0, f"can't be read: {type(exc).__name__}")]) from exc
    return _Reading(document, lines_of(text)).catalogue()


def catalogue_of(document: object) -> Catalogue:
    """Read a catalogue that `document_of` gave, be it of a newer version: keys that aren't known
    here are passed over. Raises: CatalogueInvalid.
    """
    if not isinstance(document, dict):
        raise CatalogueInvalid([Problem(0, f"expected an object, not {shown(document)}")])
    return _Reading(document, {}).catalogue()


def document_of(catalogue: Catalogue) -> dict[str, Any]:
    """Give a catalogue as a document of JSON."""
    return {
        "default": catalogue.default,
        "regions": {each.name: _table_of(each) for each in catalogue.regions},
    }


def _table_of(region: Region) -> dict[str, Any]:
    table: dict[str, Any] = {
        "addresses": [str(each) for each in region.addresses],
        "host": region.host,
        "networks": [str(each) for each in region.networks],
        "weight": region.weight,
        "fallback": list(region.fallback),
        "drain": region.is_drained,
        "ready": region.ready_url,
        "number": region.number,
        "coordinates": list(region.coordinates),
    }
    return {key: value for key, value in table.items() if value not in ("", None)}


def _syntax(message: str, text: str) -> Problem:
    """Give the words of tomllib, with its line in ours."""
    found = _AT_LINE.search(message)
    line = int(found[1]) if found and found[1] else text.count("\n") + 1
    return Problem(line, _AT_LINE.sub("", message).strip())


class _Reading:
    """One document on its way; what is wrong is noted and reading goes on."""

    def __init__(self, document: dict[str, Any], lines: Mapping[Path, int]) -> None:
        self._document = document
        self._lines = lines
        self._problems: list[Problem] = []
        self._holders: dict[tuple[str, object], Path] = {}
        tables = document.get("regions")
        self._tables: dict[str, Any] = tables if isinstance(tables, dict) else {}

    def catalogue(self) -> Catalogue:
        """Give it. Raises: CatalogueInvalid."""
        self._strangers((), self._document, ("default", "regions"))
        if not 1 <= len(self._tables) <= MAX_REGIONS:
            self._note(("regions",), f"expected 1 to {MAX_REGIONS} tables [regions.NAME]")
        regions = tuple(self._regions())
        self._families(regions)
        default = self._document.get("default")
        if not isinstance(default, str) or default not in self._tables:
            self._note(("default",), f"{shown(default)}: expected the name of one of the regions")
        if self._problems:
            raise CatalogueInvalid(self._problems)
        return Catalogue(regions, str(default))

    def _line(self, path: Path) -> int:
        """Give the line of *path*, or of the nearest above it that has one; 0: there are none."""
        held = (self._lines.get(path[:end]) for end in range(len(path), 0, -1))
        return next((each for each in held if each), 1 if self._lines else 0)

    def _note(self, path: Path, message: str) -> None:
        where = ".".join(_plain(each) for each in path if isinstance(each, str))
        self._problems.append(Problem(self._line(path), f"{where}: {message}"))

    def _strangers(self, path: Path, table: Mapping[str, Any], known: Iterable[str]) -> None:
        """Note keys of a file that nobody knows: they are misspelt."""
        for key in table if self._lines else ():
            if key not in known:
                self._note((*path, key), f"no such key; known: {', '.join(known)}")

    def _families(self, regions: Iterable[Region]) -> None:
        """Note regions without an address of a family that others have.

        "No such address" has no scope (RFC 7871, 7.4): a resolver, and PowerDNS itself, gives what
        one client was told to all others.
        """
        held = {each.name: {address.version for address in each.addresses} for each in regions}
        everywhere = set().union(*held.values())
        for name, families in held.items():
            for version in sorted(everywhere - families) if families else ():
                words = f"expected one of IPv{version} too, since other regions have one"
                self._note(("regions", name, "addresses"), words)

    # --- regions ----------------------------------------------------------------------------------

    def _regions(self) -> Iterator[Region]:
        for name, table in self._tables.items():
            path: Path = ("regions", name)
            try:
                values.name(name)
            except ValueError as exc:
                self._note(path, str(exc))
                continue
            if isinstance(table, dict):
                yield from self._region(path, name, table)
            else:
                self._note(path, f"expected a table, not {shown(table)}")

    def _region(self, path: Path, name: str, table: Mapping[str, Any]) -> Iterator[Region]:
        self._strangers(path, table, FIELDS)
        known = known_region(name)
        found: dict[str, Any] = {"number": None}
        if known is not None:
            found = {"number": known.number, "coordinates": known.coordinates}
            if known.number is not None and "number" not in table:
                self._claim((*path, "number"), known.number)
        for key, field in FIELDS.items():
            if key in table:
                found |= self._field((*path, key), field, table[key])
        if not table.get("addresses"):
            self._note((*path, "addresses"), "expected one at least")
        if known is None and "coordinates" not in table:
            self._note((*path, "coordinates"), "needed, since no known region has this name")
        if {"addresses", "coordinates"} <= found.keys():
            yield Region(name=name, **found)

    def _field(self, path: Path, field: Field, raw: object) -> dict[str, Any]:
        """Give the attribute, or nothing after noting what is wrong."""
        if not field.is_list:
            found = list(self._values([path], field, [raw]))
            return {field.attribute: found[0]} if found else {}
        if not isinstance(raw, list):
            self._note(path, f"expected a list, not {shown(raw)}")
            return {}
        paths = [(*path, index) for index in range(len(raw))]
        return {field.attribute: tuple(self._values(paths, field, raw))}

    def _values(self, paths: list[Path], field: Field, raw: list[Any]) -> Iterator[object]:
        for path, each in zip(paths, raw, strict=True):
            try:
                value = field.read(each)
            except ValueError as exc:
                self._note(path, str(exc))
                continue
            if field.is_unique:
                self._claim(path, value)
            elif field.attribute == "fallback":
                self._fallback(path, value)
            yield value

    def _claim(self, path: Path, value: object) -> None:
        """Note a value that another place has already."""
        holder = self._holders.setdefault((str(path[2]), value), path)
        if holder != path:
            line = self._line(holder)
            at = f" (line {line})" if line else ""
            whose = "stands twice here" if holder[1] == path[1] else f"belongs to {holder[1]} too"
            self._note(path, f"{value} {whose}{at}")

    def _fallback(self, path: Path, name: object) -> None:
        if name == path[1] or name not in self._tables:
            self._note(path, f"{name}: expected the name of another region")
        holder = self._holders.setdefault((f"fallback of {path[1]}", name), path)
        if holder != path:
            self._note(path, f"{name} stands twice here")


def _plain(key: str) -> str:
    """Give a key in a form that a terminal takes."""
    return key if key.isascii() and key.isprintable() and len(key) < KEY_SHOWN else shown(key)
