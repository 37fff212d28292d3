"""Server-sent events: an incremental parser with bounds. Pure: bytes go in, events come out.

Lines end with CR LF, LF or CR, wherever the bytes are cut; a byte order mark at the start is
dropped; comments and fields that aren't known are passed over; an event without data is none, and
one that the stream's end cuts off is dropped.

Source: HTML Living Standard, 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event
stream".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LINE_BYTES = 256 << 10
MAX_EVENT_BYTES = 512 << 10
_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")
_RETRY = re.compile(r"[0-9]{1,9}")


class StreamInvalid(ValueError):
    """The stream is larger than it may be."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event; `id` is the last one that the stream named, its own or an earlier event's."""

    data: str
    event: str = "message"
    id: str = ""


class EventParser:
    """Turns the bytes of one stream into its events.

    After StreamInvalid it is of no use any more.
    """

    def __init__(
        self, max_line_bytes: int = MAX_LINE_BYTES, max_event_bytes: int = MAX_EVENT_BYTES
    ) -> None:
        self._max_line_bytes = max_line_bytes
        self._max_event_bytes = max_event_bytes
        self._pieces: list[bytes] = []
        self._line_bytes = 0
        self._is_start = True
        self._ended_with_cr = False
        self._data: list[str] = []
        self._data_bytes = 0
        self._event = ""
        self._id = ""
        self.retry_seconds: float | None = None
        """How long the sender wants to be left alone after a break, if it said so."""

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Give the events that *chunk* completes.

        Raises: StreamInvalid: a line or an event is too long.
        """
        return [event for line in self._lines(chunk) if (event := self._take(line)) is not None]

    # --- lines ------------------------------------------------------------------------------------

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        if self._ended_with_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._ended_with_cr = False
        *ended, rest = _LINE_END.split(chunk)
        for line in ended:
            yield self._whole(line)
        if rest:
            self._keep(rest)
        elif chunk.endswith(b"\r"):
            self._ended_with_cr = True

    def _keep(self, piece: bytes) -> None:
        self._line_bytes += len(piece)
        if self._line_bytes > self._max_line_bytes:
            raise StreamInvalid(f"a line is longer than {self._max_line_bytes} bytes")
        self._pieces.append(piece)

    def _whole(self, end: bytes) -> bytes:
        """Give the line that *end* ends, with what came of it before."""
        self._keep(end)
        line = b"".join(self._pieces)
        self._pieces.clear()
        self._line_bytes = 0
        if self._is_start:
            self._is_start = False
            return line.removeprefix(_BOM)
        return line

    # --- fields -----------------------------------------------------------------------------------

    def _take(self, line: bytes) -> ServerEvent | None:
        if not line:
            return self._dispatched()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._add(value, len(line))
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if _RETRY.fullmatch(value):
                self.retry_seconds = int(value) / 1000
        return None

    def _add(self, value: str, size_bytes: int) -> None:
        self._data_bytes += size_bytes
        if self._data_bytes > self._max_event_bytes:
            raise StreamInvalid(f"an event is longer than {self._max_event_bytes} bytes")
        self._data.append(value)

    def _dispatched(self) -> ServerEvent | None:
        data, event = self._data, self._event
        self._data, self._data_bytes, self._event = [], 0, ""
        if not data:
            return None
        return ServerEvent("\n".join(data), event or "message", self._id)
