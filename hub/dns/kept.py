"""The last state on disk, from which a start goes on while the hub is away. All of it blocks."""

import json
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from hub.dns.state import Document, GeoState, StateInvalid, read_state
from proxy.serving.small_file import write_file

MAX_BYTES = 16 << 20
MODE = 0o600  # it names private networks


@dataclass(frozen=True, slots=True)
class Kept:
    """A state as the hub told it, and when it was last known to be the current one."""

    state: GeoState
    confirmed_at: float


class StateFile:
    """Keeps one state."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Kept | None:
        """Give what is kept; None: nothing is.

        Raises: StateInvalid: it is damaged. OSError: it can't be read.
        """
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        if len(data) > MAX_BYTES:
            raise StateInvalid(f"it is larger than {MAX_BYTES} bytes")
        return _kept(data)

    def write(self, document: Document, confirmed_at: float) -> None:
        """Keep a state. Raises: OSError."""
        text = json.dumps({"confirmed_at": confirmed_at, "state": document}, indent=1)
        write_file(self._path, text.encode(), MODE)


class NotKept:
    """Keeps nothing: for who writes files of its own."""

    def read(self) -> None:
        """Nothing is kept."""

    def write(self, document: Document, confirmed_at: float) -> None:
        """Nothing is to be kept."""


def _kept(data: bytes) -> Kept:
    try:
        document = json.loads(data)
        confirmed_at = float(document["confirmed_at"])
        if not isfinite(confirmed_at):
            raise StateInvalid("confirmed_at: expected a time")
        return Kept(read_state(document["state"]), confirmed_at)
    except (ValueError, TypeError, LookupError, RecursionError) as exc:
        raise StateInvalid(f"it isn't what was written: {exc!r}") from exc
