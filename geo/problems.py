"""What is wrong with a catalogue: all of it at once, each with its line."""

from collections.abc import Iterable
from typing import NamedTuple

MAX_SHOWN_CHARACTERS = 60


class Problem(NamedTuple):
    """line: from 1; 0: the text has none, as a document from the hub."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


class CatalogueInvalid(Exception):
    """A catalogue that can't be used."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(each) for each in self.problems))


def shown(raw: object) -> str:
    """Give foreign input, bounded, in a form that a terminal takes."""
    text = ascii(raw)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}..."
