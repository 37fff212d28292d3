"""A wire form to JSON."""

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from hub.wire.kinds import wire_name


def plain(value: object) -> Any:
    """Give what JSON holds for a wire form, or for a list or mapping of them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {wire_name(each.name): plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value
