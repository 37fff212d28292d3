"""Settings as TOML: values and sections, and in a section lists of tables."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Section = Mapping[str, Any]


def write_toml(path: Path, settings: Section) -> Path:
    """Write *settings* (strings, numbers, booleans, paths, lists; mappings) and give the path."""
    plain = [_line(name, each) for name, each in settings.items() if not isinstance(each, Mapping)]
    sections = [
        _section(name, each) for name, each in settings.items() if isinstance(each, Mapping)
    ]
    path.write_text("\n".join([*plain, *sections]) + "\n")
    return path


def _section(name: str, section: Section) -> str:
    lines = [_line(key, value) for key, value in section.items() if not _is_tables(value)]
    tables = [
        _table(f"{name}.{key}", table)
        for key, value in section.items()
        if _is_tables(value)
        for table in value
    ]
    return "\n".join([f"\n[{name}]", *lines, *tables])


def _is_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value)


def _table(name: str, table: Section) -> str:
    return "\n".join([f"\n[[{name}]]", *(_line(key, value) for key, value in table.items())])


def _line(name: str, value: object) -> str:
    return f"{name} = {_literal(value)}"


def _literal(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_literal(each) for each in value)}]"
    return json.dumps(str(value) if isinstance(value, Path) else value)
