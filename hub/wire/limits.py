"""What a value on the wire may be, beyond its type: `Annotated[str, Limits(...)]`."""

import re
from dataclasses import dataclass

MAX_TEXT_CHARACTERS = 256
MAX_ITEMS = 256
MAX_NUMBER = 2**53 - 1
"""The largest whole number that every reader of JSON keeps exact (RFC 8259, 6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one value; those of a list are of its items, but for `max_items`.

    pattern:    the text matches it as a whole; it begins with ^ and ends with $, as JSON Schema
                has them.
    is_cleaned: a text that is too long or not printable is cut and escaped, not refused: what is
                for people alone, from a program that would come with it again and again.
    """

    pattern: str = ""
    max_characters: int = MAX_TEXT_CHARACTERS
    minimum: float = 0
    maximum: float = MAX_NUMBER
    max_items: int = MAX_ITEMS
    is_cleaned: bool = False
    about: str = ""

    def text(self, value: str) -> str | None:
        """Give a text that keeps the limits; None: it doesn't."""
        if self.is_cleaned:
            return _cleaned(value)[: self.max_characters]
        if len(value) > self.max_characters or not value.isprintable():
            return None
        if self.pattern and re.fullmatch(self.pattern[1:-1], value) is None:
            return None
        return value


NONE = Limits()


def _cleaned(value: str) -> str:
    """Give a text with everything that isn't printable escaped."""
    if value.isprintable():
        return value
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in value
    )
