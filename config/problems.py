"""What is wrong with the settings, and how it is said without showing a secret."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

_LONGEST_FOUND = 80
_USER_INFO = re.compile(r"//[^/?#]*@")
_QUERY = re.compile(r"\?.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to correct, on one line.

    Shape: found is the value as `shown` gives it, or words, or empty where it isn't for the eye;
           source is the file, variable or flag the value came from, empty where none gave it.
    """

    key: str
    expected: str
    found: str = ""
    source: str = ""

    def __str__(self) -> str:
        found = f", found {self.found}" if self.found else ""
        source = f" ({self.source})" if self.source else ""
        return f"{self.key}: expected {self.expected}{found}{source}"


class ConfigError(Exception):
    """The settings can't be used; `problems` holds every reason, str() one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def shown(raw: object) -> str:
    """Give a raw value as a problem may print it: short, escaped, a URL without user and query."""
    if isinstance(raw, dict):
        return "a table"
    if isinstance(raw, list | tuple):
        return "a list" if raw else "an empty list"
    if isinstance(raw, str) and "//" in raw:
        raw = _QUERY.sub("?***", _USER_INFO.sub("//***@", raw))
    text = json.dumps(raw, default=str)
    return text if len(text) <= _LONGEST_FOUND else f"{text[:_LONGEST_FOUND]}..."


def unknown(name: str, known: Iterable[str], what: str, source: str) -> Problem:
    """Give the problem of a name nobody declared, not its value: that may be a misspelt secret."""
    close = get_close_matches(name, known, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    return Problem(name, f"{what}{hint}", source=source)
