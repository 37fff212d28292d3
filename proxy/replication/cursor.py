"""Places in the hub's event log, and what stands there."""

from dataclasses import dataclass

from proxy.events.notification import Notification


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last event that was taken: its number in the log of one epoch."""

    epoch: str
    seq: int

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read `EPOCH:SEQ`.

        Raises: ValueError.
        """
        epoch, _, seq = text.rpartition(":")
        if not epoch or not (seq.isascii() and seq.isdigit()):
            raise ValueError(f"{text!r} is no place in an event log")
        return cls(epoch, int(seq))

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"


@dataclass(frozen=True, slots=True)
class Notice:
    """One event of the log; received_at: wall-clock seconds at which the hub had it."""

    cursor: Cursor
    received_at: float
    notification: Notification
