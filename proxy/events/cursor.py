"""Places in the hub's log.

The log is one sequence without gaps, numbered from 1. Its epoch says which log it is: a database
that was made anew, or came back from a backup, is another log.
"""

import re
from dataclasses import dataclass
from typing import Self

MAX_SEQ = 2**63 - 1
_EPOCH = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SEQ = re.compile(r"[0-9]{1,19}")


class CursorInvalid(ValueError):
    """It names no place in a log."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place behind event *seq* of the log *epoch*; 0 is the place before its first."""

    epoch: str
    seq: int

    @classmethod
    def of(cls, epoch: object, seq: object) -> Self:
        """Give the cursor that two foreign values mean.

        Raises: CursorInvalid.
        """
        if not isinstance(epoch, str) or _EPOCH.fullmatch(epoch) is None:
            raise CursorInvalid("an epoch is a short word")
        if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq <= MAX_SEQ:
            raise CursorInvalid("a place is a number from 0")
        return cls(epoch, seq)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read EPOCH:SEQ.

        Raises: CursorInvalid.
        """
        epoch, _, seq = text.rpartition(":")
        if _SEQ.fullmatch(seq) is None:
            raise CursorInvalid(f"not EPOCH:SEQ: {text[:100]!r}")
        return cls.of(epoch, int(seq))

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"

    def has_reached(self, other: "Cursor") -> bool:
        """Say whether all that lies before *other* lies before this, too."""
        return self.epoch == other.epoch and self.seq >= other.seq
