"""One JSON line for each request and each event.

Lines gather in memory and leave in one write, a tenth of a second later at the latest, so that a
hit costs no system call of its own.
"""

import asyncio
import json
import os
import time
from enum import IntEnum
from json.encoder import encode_basestring_ascii as quoted
from typing import NamedTuple

FLUSH_SECONDS = 0.1
FLUSH_LINES = 512
MAX_TEXT_CHARACTERS = 256


class Level(IntEnum):
    """How much a line matters."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


Field = str | int | float | bool | list[str] | None


class RequestLine(NamedTuple):
    """What is logged of every request: one form, written without a detour over a dictionary."""

    event: str
    request_id: str
    client: str
    method: str
    kind: str
    repository: str
    reference: str
    outcome: str
    origin: str
    size: int
    seconds: float
    stale_seconds: float | None
    error: str


class EventLog:
    """Writes events to a descriptor. Text is escaped and cut, so that no field breaks a line."""

    def __init__(self, descriptor: int, level: Level = Level.INFO, **always: Field) -> None:
        self._descriptor = descriptor
        self.level = level
        self._always = always
        self._prefix = "".join(
            f",{quoted(name)}:{json.dumps(value)}" for name, value in always.items()
        )
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def info(self, event: str, **fields: Field) -> None:
        self._write(Level.INFO, event, fields)

    def warning(self, event: str, **fields: Field) -> None:
        self._write(Level.WARNING, event, fields)

    def error(self, event: str, **fields: Field) -> None:
        self._write(Level.ERROR, event, fields)

    def request(self, line: RequestLine) -> None:
        """Write the line of one request."""
        if self.level > Level.INFO:
            return
        stale = "" if line.stale_seconds is None else f',"stale_seconds":{line.stale_seconds:.1f}'
        error = f',"error":{quoted(line.error[:MAX_TEXT_CHARACTERS])}' if line.error else ""
        self._lines.append(
            f'{{"time":{time.time():.3f},"level":"info","event":"{line.event}"{self._prefix}'
            f',"request_id":"{line.request_id}","client":"{line.client}"'
            f',"method":{quoted(line.method[:MAX_TEXT_CHARACTERS])},"kind":"{line.kind}"'
            f',"repository":"{line.repository}","reference":"{line.reference}"'
            f',"outcome":"{line.outcome}","origin":"{line.origin}","bytes":{line.size}'
            f',"seconds":{line.seconds:.6f}{stale}{error}}}'
        )
        self._flush_soon()

    def _write(self, level: Level, event: str, fields: dict[str, Field]) -> None:
        if level < self.level:
            return
        line: dict[str, Field] = {
            "time": round(time.time(), 3),
            "level": level.name.lower(),
            "event": event,
            **self._always,
        }
        for name, value in fields.items():
            line[name] = value[:MAX_TEXT_CHARACTERS] if isinstance(value, str) else value
        self._lines.append(json.dumps(line, separators=(",", ":")))
        self._flush_soon()

    def _flush_soon(self) -> None:
        if len(self._lines) >= FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # before the loop runs and after it: nobody would flush
                self.flush()
                return
            self._timer = loop.call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what has gathered. A log that can't be written stops nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._lines:
            return
        data = ("\n".join(self._lines) + "\n").encode("ascii", "backslashreplace")
        self._lines.clear()
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            return
