"""Cursors: how far somebody has read, and of which log."""

import re
from dataclasses import dataclass
from typing import Self

from hub.errors import CursorGone, Invalid

_GRAMMAR = re.compile(r"([0-9a-f]{16}):(0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last event seen: its number (from 1; 0: none) in the log of an epoch."""

    epoch: str
    seq: int

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `EPOCH:SEQ`. Raises: Invalid: anything else."""
        match = _GRAMMAR.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise Invalid("a cursor has the form EPOCH:SEQ")
        return cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"


@dataclass(frozen=True, slots=True)
class Extent:
    """What there is of a log: what follows *floor*, up to *head*."""

    epoch: str
    floor: int
    head: int

    def check(self, cursor: Cursor) -> None:
        """Raises: CursorGone: what follows *cursor* can't be told."""
        if cursor.epoch != self.epoch:
            message = "the log is another one"
        elif cursor.seq < self.floor:
            message = f"events up to {self.floor} are no longer kept"
        elif cursor.seq > self.head:
            message = "the log hasn't come that far"
        else:
            return
        raise CursorGone(message, detail={"epoch": self.epoch, "head": self.head})
