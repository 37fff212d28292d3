"""A field's type, taken apart once: what it holds, within which limits, and whether it may lack."""

import keyword
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from hub.wire.limits import NONE, Limits


@dataclass(frozen=True, slots=True)
class Kind:
    """base: str, int, float, bool, an enum, a dataclass, or Any. is_list: a tuple of it; is_map:
    an object whose names aren't known, of it or of lists of it, which is only written.
    """

    base: Any
    limits: Limits = NONE
    is_list: bool = False
    is_nullable: bool = False
    is_map: bool = False

    @property
    def is_object(self) -> bool:
        return is_dataclass(self.base)


@dataclass(frozen=True, slots=True)
class FieldKind:
    """A field of a wire form."""

    kind: Kind
    is_required: bool


T = TypeVar("T")
_KNOWN: dict[type[Any], Mapping[str, FieldKind]] = {}


def fields_of(form: type[Any]) -> Mapping[str, FieldKind]:
    """Give the fields of a wire form by name."""
    if form not in _KNOWN:
        _KNOWN[form] = _fields_of(form)
    return _KNOWN[form]


def _fields_of(form: type[Any]) -> Mapping[str, FieldKind]:
    hints = get_type_hints(form, include_extras=True)
    return {
        wire_name(each.name): FieldKind(
            kind_of(hints[each.name]),
            each.default is MISSING and each.default_factory is MISSING,
        )
        for each in fields(form)
    }


def wire_name(attribute: str) -> str:
    """Give how a field is called on the wire: `from_` is `from`, which Python has for itself."""
    return attribute.removesuffix("_")


def made(form: type[T], values: Mapping[str, Any]) -> T:
    """Make a wire form of values by their names on the wire."""
    own = {f"{name}_" if keyword.iskeyword(name) else name: each for name, each in values.items()}
    return form(**own)


def kind_of(hint: Any, limits: Limits = NONE) -> Kind:
    """Take a type apart."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return kind_of(arguments[0], arguments[1])
    if origin in (Union, types.UnionType):
        (inner,) = (each for each in arguments if each is not types.NoneType)
        found = kind_of(inner, limits)
        return replace(found, is_nullable=True)
    if origin is tuple:
        found = kind_of(arguments[0], limits)
        return Kind(found.base, found.limits, is_list=True)
    if origin is dict:
        return replace(kind_of(arguments[1], limits), is_map=True)
    return Kind(hint, limits)
