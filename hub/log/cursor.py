"""How far somebody has read, and what there is to be read."""

import re
from dataclasses import dataclass

from hub.errors import CursorGone, Invalid
from proxy.events.cursor import Cursor

_GRAMMAR = re.compile(r"[0-9a-f]{16}:(?:0|[1-9][0-9]{0,17})")


def cursor_in(text: object) -> Cursor:
    """Read `EPOCH:SEQ`, in the one way that it is written. Raises: Invalid: anything else."""
    if not isinstance(text, str) or _GRAMMAR.fullmatch(text) is None:
        raise Invalid("a cursor has the form EPOCH:SEQ")
    return Cursor.parse(text)


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
