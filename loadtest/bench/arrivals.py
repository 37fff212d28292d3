"""What a replica says of its copies, each with the time at which it was complete."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.programs import ProgramFailed

_POLL_SECONDS = 0.02
_COMPLETE = "replication.complete"
_FAILED = ("replication.failed", "replication.dead", "replication.crashed")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One copy that is complete; *at* is wall-clock time, as is the time of a push."""

    reference: str
    digest: str
    at: float
    moved_bytes: int


class Arrivals:
    """Reads a replica's log as it grows. When it is read doesn't matter: each line has its time."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = 0
        self._found: dict[tuple[str, str], Arrival] = {}
        self.failures = 0

    def wait_for(self, references: Iterable[tuple[str, str]], seconds: float) -> list[Arrival]:
        """Give the arrival of each (reference, digest) once all are complete.

        Raises: ProgramFailed: they aren't within *seconds*.
        """
        wanted = list(references)
        deadline = time.monotonic() + seconds
        while missing := [each for each in wanted if each not in self._found]:
            if time.monotonic() > deadline:
                raise ProgramFailed(
                    f"{len(missing)} of {len(wanted)} copies aren't complete after {seconds:.0f} s,"
                    f" {missing[0][0]} for one; {self.failures} attempts failed"
                )
            time.sleep(_POLL_SECONDS)
            self._read()
        return [self._found[each] for each in wanted]

    def _read(self) -> None:
        for line in self._new_lines():
            if line["event"] == _COMPLETE:
                found = Arrival(line["reference"], line["digest"], line["time"], line["bytes"])
                self._found.setdefault((found.reference, found.digest), found)
            elif line["event"] in _FAILED:
                self.failures += 1

    def _new_lines(self) -> Iterator[dict[str, Any]]:
        with self._log.open("rb") as log:
            log.seek(self._offset)
            whole = log.read().rpartition(b"\n")[0]
        if whole:
            self._offset += len(whole) + 1
        for line in whole.splitlines():
            if b'"event":"replication.' in line:
                yield json.loads(line)
