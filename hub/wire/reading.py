"""JSON to a wire form: strict about types and limits, with words that name the place."""

import math
from enum import StrEnum
from typing import Any, TypeVar

from hub.errors import Invalid
from hub.wire.kinds import Kind, fields_of, made
from hub.wire.limits import MAX_NUMBER

T = TypeVar("T")
MAX_SHOWN_CHARACTERS = 40


class Others(StrEnum):
    """What becomes of fields that aren't known.

    An operator's slip of the pen is refused. A replica may be newer than the hub: what it says
    beyond our knowledge is left out.
    """

    REFUSE = "refuse"
    IGNORE = "ignore"


def read(form: type[T], document: object, others: Others = Others.REFUSE, where: str = "") -> T:
    """Read an object. Raises: Invalid: with the place and what was expected there."""
    if not isinstance(document, dict):
        raise Invalid(f"{where or 'the body'}: expected an object")
    known = fields_of(form)
    if others is Others.REFUSE and (strays := document.keys() - known.keys()):
        stray = _shown(min(strays))
        raise Invalid(f"{_at(where, stray)}: no such field; known: {', '.join(known)}")
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name in document:
            values[name] = _value(field.kind, document[name], others, _at(where, name))
        elif field.is_required:
            raise Invalid(f"{_at(where, name)}: expected a value")
    return made(form, values)


def read_text(kind: Kind, text: str, where: str) -> Any:
    """Read a value of a query, where everything is text. Raises: Invalid."""
    value: object = text
    if kind.base in (int, float):
        try:
            value = kind.base(text)
        except ValueError:
            value = text
    elif kind.base is bool:
        value = {"true": True, "false": False}.get(text, text)
    return _value(kind, value, Others.REFUSE, where)


def _value(kind: Kind, value: object, others: Others, where: str) -> Any:
    if value is None and kind.is_nullable:
        return None
    if not kind.is_list:
        return _single(kind, value, others, where)
    limit = kind.limits.max_items
    if not isinstance(value, list) or len(value) > limit:
        raise Invalid(f"{where}: expected a list of at most {limit}")
    return tuple(
        _single(kind, each, others, f"{where}[{index}]") for index, each in enumerate(value)
    )


def _single(kind: Kind, value: object, others: Others, where: str) -> Any:
    if kind.is_object:
        return read(kind.base, value, others, where)
    found = _scalar(kind, value)
    if found is None:
        raise Invalid(f"{where}: expected {expected(kind)}")
    return found


def _scalar(kind: Kind, value: object) -> Any:
    """Give a value that keeps to its kind; None: it doesn't."""
    base, limits = kind.base, kind.limits
    if base is bool:
        return value if isinstance(value, bool) else None
    if base in (int, float):
        return _number(kind, value)
    if not isinstance(value, str):
        return None
    if issubclass(base, StrEnum):
        return base(value) if value in tuple(base) else None
    return limits.text(value)


def _number(kind: Kind, value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if kind.base is int and not isinstance(value, int):
        return None
    if not math.isfinite(value) or not kind.limits.minimum <= value <= kind.limits.maximum:
        return None
    number: float = kind.base(value)
    return number


def expected(kind: Kind) -> str:
    """Say what a value of a kind is."""
    base, limits = kind.base, kind.limits
    if base is bool:
        return "true or false"
    if base in (int, float):
        what = "a whole number" if base is int else "a number"
        if limits.maximum == MAX_NUMBER:
            return f"{what}, {limits.minimum:g} or more"
        return f"{what}, {limits.minimum:g} to {limits.maximum:g}"
    if issubclass(base, StrEnum):
        return f"one of {', '.join(base)}"
    return limits.about or f"printable text of at most {limits.max_characters} characters"


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _shown(name: str) -> str:
    return name.encode("unicode_escape").decode()[:MAX_SHOWN_CHARACTERS]
