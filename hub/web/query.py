"""What a query says."""

import re
from collections.abc import Mapping

from hub.errors import Invalid

_NUMBER = re.compile(r"[0-9]{1,18}")


def whole_number(query: Mapping[str, str], name: str, otherwise: int) -> int:
    """Give a number of a query. Raises: Invalid: something else stands there."""
    text = query.get(name)
    if text is None:
        return otherwise
    if _NUMBER.fullmatch(text) is None:
        raise Invalid(f"{name}: expected a whole number")
    return int(text)
