"""The settings of our own programs: sections of keys and values, laid over one another, as TOML."""

import json
from collections.abc import Mapping

Section = Mapping[str, object]
Sections = Mapping[str, Section]
"""Values are texts, numbers, booleans and lists of these."""


def laid_over(below: Sections, above: Sections) -> Sections:
    """Give the keys of both; where both have one, that of *above*."""
    names = (*below, *(name for name in above if name not in below))
    return {name: {**below.get(name, {}), **above.get(name, {})} for name in names}


def as_toml(sections: Sections) -> str:
    """Give *sections* as TOML: a JSON value of these kinds is one of TOML."""
    lines: list[str] = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
