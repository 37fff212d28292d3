"""How a setting is declared: once, as a dataclass field that carries all that is known about it.

`setting`, `optional`, `required`, `several`, `secret`, `tables` and `section` give a field, typed
as its value is. `settings_of` lists what was declared; loader and docs work from that list.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any, TypeVar

from config.kinds import Kind, hidden, raw_table
from config.values import Secret

T = TypeVar("T")
Key = tuple[str, ...]
"""The way to a setting: ("region",) or ("listen", "backlog")."""

PREFIX = "PROXIMA_"
"""How variables begin; a table with a `PREFIX` of its own has another one."""

_RULE = "rule"
_SECTION = "section"


class Origin(Enum):
    """Where a setting's value may come from; later goes before earlier."""

    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Rule:
    """What is declared of a setting.

    Shape: kind is that of the value, or of each item of a list; table is what items that are tables
           become; default is as TOML writes it, None where there is none; flag may be empty;
           is_reloaded: a replica or hub that runs takes a new value over at SIGHUP.
    """

    doc: str
    kind: Kind[Any]
    table: type[Any] | None = None
    default: object = None
    is_required: bool = False
    is_list: bool = False
    at_least: int = 0
    flag: str = ""
    origins: frozenset[Origin] = frozenset(Origin)
    is_reloaded: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """A declared setting and the way to it."""

    path: Key
    rule: Rule
    prefix: str = PREFIX

    @property
    def key(self) -> str:
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """Give the environment variable: PROXIMA_REGION, PROXIMA_LISTEN__BACKLOG."""
        return self.prefix + "__".join(self.path).upper()


def setting(kind: Kind[T], default: str | int, doc: str, *, reload: bool = False) -> T:
    """Declare a setting with a default, written as in TOML."""
    return _field(Rule(doc, kind, default=default, is_reloaded=reload), kind.read(default))


def optional(kind: Kind[T], doc: str, *, reload: bool = False) -> T | None:
    """Declare a setting that may be absent (None)."""
    return _field(Rule(doc, kind, is_reloaded=reload), None)


def required(kind: Kind[T], doc: str, flag: str = "") -> T:
    """Declare a setting without a default."""
    made: T = field(metadata={_RULE: Rule(doc, kind, is_required=True, flag=flag)})
    return made


def several(
    kind: Kind[T],
    default: tuple[str, ...],
    doc: str,
    *,
    at_least: int = 0,
    flag: str = "",
    reload: bool = False,
) -> tuple[T, ...]:
    """Declare a list."""
    rule = Rule(doc, kind, default=default, is_list=True, at_least=at_least, flag=flag)
    return _field(replace(rule, is_reloaded=reload), tuple(map(kind.read, default)))


def secret(doc: str) -> Secret | None:
    """Declare a secret: it comes from the environment alone."""
    return _field(Rule(doc, hidden(), origins=frozenset({Origin.ENVIRONMENT})), None)


def tables(table: type[T], doc: str, *, reload: bool = False) -> tuple[T, ...]:
    """Declare a list of tables: it comes from the file alone."""
    only_file = frozenset({Origin.FILE})
    rule = Rule(doc, raw_table(), table, default=(), is_list=True, origins=only_file)
    return _field(replace(rule, is_reloaded=reload), ())


def section(table: type[T]) -> T:
    """Declare a section: a table whose fields are settings."""
    made: T = field(default_factory=table, metadata={_SECTION: table})
    return made


def settings_of(table: type[Any], path: Key = ()) -> Iterator[Setting]:
    """Give the settings of a table and of its sections, in the order of declaration."""
    return _settings_of(table, path, prefix_of(table))


def prefix_of(table: type[Any]) -> str:
    """Give how the variables of a whole table's settings begin."""
    prefix: str = getattr(table, "PREFIX", PREFIX)
    return prefix


def _settings_of(table: type[Any], path: Key, prefix: str) -> Iterator[Setting]:
    for each in fields(table):
        if inner := each.metadata.get(_SECTION):
            yield from _settings_of(inner, (*path, each.name), prefix)
        else:
            yield Setting((*path, each.name), each.metadata[_RULE], prefix)


def sections_of(table: type[Any]) -> dict[str, type[Any]]:
    """Give the sections of a table by name."""
    return {
        each.name: each.metadata[_SECTION] for each in fields(table) if _SECTION in each.metadata
    }


def _field(rule: Rule, default: T) -> T:
    made: T = field(default=default, metadata={_RULE: rule})
    return made
