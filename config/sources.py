"""The places settings come from: file, environment and flags, each as raw values by key."""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.declare import PREFIX, Key, Origin, Setting
from config.problems import ConfigError, Problem

OF_THE_HUB = "PROXIMA_HUB_"
"""How the hub's variables begin: a replica beside it has none that begin like that."""

OF_DNS = "PROXIMA_DNS_"
"""How the variables of the process beside a DNS server begin."""

_OWN = (OF_THE_HUB, OF_DNS)

OF_OPERATORS = frozenset({"PROXIMA_HUB_URL", "PROXIMA_HUB_TOKEN_FILE", "PROXIMA_HUB_CA_FILE"})
"""What the verbs that speak to a hub read: no settings, also where a hub runs in the same shell."""

# Kubernetes puts these into every pod for a service called "proxima" or "proxima-...".
_SERVICE_LINK = re.compile(
    r"PROXIMA_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


@dataclass(frozen=True, slots=True)
class Given:
    """A raw value, as TOML would hold it, and where it came from."""

    raw: object
    origin: Origin
    source: str


def from_file(path: Path) -> dict[Key, Given]:
    """Give the values of a TOML file by key; an empty table is a value itself.

    Raises: ConfigError: the file can't be read, or isn't TOML.
    """
    values: dict[Key, object] = {}
    for name, raw in _toml(path).items():
        if isinstance(raw, dict) and raw:
            values |= {(name, inner): value for inner, value in raw.items()}
        else:
            values[name,] = raw
    return {key: Given(raw, Origin.FILE, str(path)) for key, raw in values.items()}


def from_environ(
    environ: Mapping[str, str], settings: Iterable[Setting], prefix: str = PREFIX
) -> dict[Key, Given]:
    """Give the values of the variables that begin with *prefix*; the key of a stray is its name."""
    declared = {setting.variable: setting for setting in settings}
    given: dict[Key, Given] = {}
    for name, text in environ.items():
        if not name.startswith(prefix) or name in OF_OPERATORS or _SERVICE_LINK.fullmatch(name):
            continue
        if prefix not in _OWN and name.startswith(_OWN):
            continue
        setting = declared.get(name)
        key = setting.path if setting else (name,)
        given[key] = Given(_raw(text, setting), Origin.ENVIRONMENT, name)
    return given


def from_flags(overrides: Mapping[str, object], settings: Iterable[Setting]) -> dict[Key, Given]:
    """Give the values of flags by dotted key ("primary.url"); None means not given."""
    declared = {setting.key: setting for setting in settings}
    given: dict[Key, Given] = {}
    for name, value in overrides.items():
        if value is None:
            continue
        setting = declared.get(name)
        source = (setting and setting.rule.flag) or "command line"
        given[tuple(name.split("."))] = Given(_raw(value, setting), Origin.FLAG, source)
    return given


def from_hub(said: Mapping[str, object], settings: Iterable[Setting]) -> dict[Key, Given]:
    """Give the values that a hub says, by dotted key; None means not given."""
    declared = {setting.key: setting for setting in settings}
    return {
        tuple(key.split(".")): Given(_raw(value, declared.get(key)), Origin.FILE, "the hub")
        for key, value in said.items()
        if value is not None
    }


def _raw(value: object, setting: Setting | None) -> object:
    """Give what TOML would hold for a text; other values are taken as they are."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if not isinstance(value, str) or setting is None:
        return value
    if not setting.rule.is_list:
        return setting.rule.kind.from_text(value)
    return [item.strip() for item in value.split(",")] if value.strip() else []


def _toml(path: Path) -> dict[str, object]:
    try:
        text = path.read_bytes().decode()
    except OSError as exc:
        raise _unusable(path, "a readable file", exc.strerror or str(exc)) from exc
    except UnicodeDecodeError as exc:
        raise _unusable(path, "TOML", f"a byte that isn't UTF-8 at offset {exc.start}") from exc
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise _unusable(path, "TOML", _located(str(exc), text)) from exc


def _located(message: str, text: str) -> str:
    """Give tomllib's message with line and column, which it leaves out at the end of the file."""
    *before, last = text.split("\n")
    end = f"at line {len(before) + 1}, column {len(last) + 1}"
    return message.replace("at end of document", end)


def _unusable(path: Path, expected: str, found: str) -> ConfigError:
    return ConfigError([Problem(str(path), expected, found)])
