"""What a verb tells, shown: as JSON lines, or to read, with a bar where a terminal is."""

import json
import shutil
import time
from typing import Any, Protocol, TextIO

BAR_CHARACTERS = 24
DRAW_EVERY_SECONDS = 0.1

Document = dict[str, Any]


class Display(Protocol):
    """Shows events as they come."""

    def show(self, document: Document) -> None:
        """Show one event."""
        ...

    def end(self) -> None:
        """Leave the terminal as it was."""
        ...


class Json:
    """Each event is one line, as it came."""

    def show(self, document: Document) -> None:
        """Print one event."""
        print(json.dumps(document), flush=True)

    def end(self) -> None:
        """Nothing is held."""


class Text:
    """Lines to read on *output*; the bar, on *errors*, only where that is a terminal."""

    def __init__(self, output: TextIO, errors: TextIO) -> None:
        self._output = output
        self._errors = errors
        self._has_bar = errors.isatty()
        self._is_drawn = False
        self._drawn_at = float("-inf")

    def show(self, document: Document) -> None:
        """Show one event."""
        if document["event"] == "progress":
            self._draw(document)
            return
        self.end()
        print(as_line(document), file=self._output, flush=True)

    def _draw(self, document: Document) -> None:
        now = time.monotonic()
        if not self._has_bar or now - self._drawn_at < DRAW_EVERY_SECONDS:
            return
        self._drawn_at, self._is_drawn = now, True
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{as_bar(document)[:width]}\x1b[K", end="", file=self._errors, flush=True)

    def end(self) -> None:
        """Take the bar away."""
        if self._is_drawn:
            self._is_drawn = False
            print("\r\x1b[K", end="", file=self._errors, flush=True)


def as_bar(document: Document) -> str:
    """Give a progress as a bar, or as a number where the total isn't known."""
    done, total, unit = document["done"], document["total"], document["unit"]
    if not total:
        return f"{document['what']}: {_amount(done, unit)}"
    part = min(1.0, done / total)
    filled = round(part * BAR_CHARACTERS)
    bar = "#" * filled + "." * (BAR_CHARACTERS - filled)
    amounts = f"{_amount(done, unit)} of {_amount(total, unit)}"
    return f"{document['what']} [{bar}] {part:4.0%} {amounts}"


def as_line(document: Document) -> str:
    """Give a finding, a deed or a result to read."""
    match document["event"]:
        case "finding":
            state = "repaired" if document["repaired"] else "not repaired"
            detail = f": {document['detail']}" if document["detail"] else ""
            return f"{document['problem']}  {document['where']}{detail} ({state})"
        case "done":
            size = f"  {_amount(document['bytes'], 'bytes')}" if document["bytes"] else ""
            detail = f"  {document['detail']}" if document["detail"] else ""
            return f"{document['deed']}  {document['what']}{size}{detail}"
    numbers = {
        name: value for name, value in document.items() if name not in ("event", "good") and value
    }
    texts = [f"{name.replace('_', ' ')}: {_number(name, value)}" for name, value in numbers.items()]
    return ", ".join(texts) or "nothing"


def _number(name: str, value: float) -> str:
    if name == "bytes_per_second":
        return f"{_amount(value, 'bytes')}/s"
    return _amount(value, "bytes") if name.endswith("bytes") else f"{value:,}"


def _amount(value: float, unit: str) -> str:
    if unit != "bytes":
        return f"{value:,} {unit}"
    for name in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {name}" if name == "B" else f"{value:.1f} {name}"
        value /= 1024
    return f"{value:.1f} TiB"
