"""An answer as data: what a correct upstream would say, and how it gets onto the wire."""

import enum
import json
import threading
from dataclasses import dataclass, field, replace

from tests.support.http1 import Fields

Pairs = tuple[tuple[str, str], ...]

JSON = "application/json; charset=utf-8"
OCTETS = "application/octet-stream"


class Framed(enum.Enum):
    """How the end of a body is told."""

    BY_LENGTH = "Content-Length"
    BY_CHUNKS = "chunked"
    BY_CLOSE = "end of the connection"


@dataclass(frozen=True, slots=True)
class Drip:
    """A body in small pieces with a pause after each."""

    bytes_each: int
    every_seconds: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an answer travels. Positions count bytes of the body.

    hold:      nothing is sent before this is set.
    stall:     nothing after *stall_at* is sent before this is set.
    cut_at:    the connection ends here (-1: before the head), by RST if *reset*.
    length_by: what is added to the true Content-Length.
    raw:       sent in place of everything; the connection ends then.
    """

    framed: Framed = Framed.BY_LENGTH
    length_by: int = 0
    cut_at: int | None = None
    reset: bool = False
    hold: threading.Event | None = None
    stall_at: int | None = None
    stall: threading.Event | None = None
    drip: Drip | None = None
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. *whole*: the content of which a range was asked, where *body* is a part of it."""

    status: int
    fields: Pairs = ()
    body: bytes = field(default=b"", repr=False)
    whole: bytes | None = field(default=None, repr=False)
    delivery: Delivery = Delivery()

    def with_field(self, name: str, value: str | None) -> "Answer":
        """Give the answer with a field set, or without it if *value* is None."""
        kept = tuple(pair for pair in self.fields if pair[0].lower() != name.lower())
        return replace(self, fields=kept if value is None else (*kept, (name, value)))

    def delivered(self, **changes: object) -> "Answer":
        """Give the answer with another delivery."""
        return replace(self, delivery=replace(self.delivery, **changes))  # type: ignore[arg-type]

    def field(self, name: str) -> str:
        return Fields(self.fields).get(name)


def problem(status: int, code: str, message: str = "", fields: Pairs = ()) -> Answer:
    """Give an error as the spec writes it."""
    errors = {"errors": [{"code": code, "message": message or code.lower(), "detail": {}}]}
    return Answer(status, (*fields, ("Content-Type", JSON)), json.dumps(errors).encode())


def document(value: object, media_type: str = JSON, fields: Pairs = ()) -> Answer:
    """Give 200 with *value* as JSON."""
    return Answer(200, (("Content-Type", media_type), *fields), json.dumps(value).encode())
