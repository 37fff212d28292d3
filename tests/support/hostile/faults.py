"""What can go wrong with an answer, or with a request while its body is on the way.

Each kind is a value; ``Fault`` says which requests meet it, how often, and counts how often it did.
"""

import gzip
import threading
from dataclasses import dataclass, field, replace
from typing import Protocol

from tests.support.hostile.answers import OCTETS, Answer, Drip, Framed, Pairs, problem
from tests.support.http1 import Request

CODES = {
    400: "UNSUPPORTED",
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "MANIFEST_UNKNOWN",
    412: "DENIED",
    429: "TOOMANYREQUESTS",
    451: "DENIED",
    500: "UNKNOWN",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "UNAVAILABLE",
}
HTML = b"<html><body><h1>default backend - 404</h1></body></html>"


class AnswerFault(Protocol):
    """Turns a correct answer into the one that is sent."""

    def apply(self, request: Request, answer: Answer) -> Answer: ...


# --- on the way ---


@dataclass(frozen=True, slots=True)
class Cut:
    """Ends the connection after *at_byte* bytes of the body (-1: before the head)."""

    at_byte: int
    reset: bool = False

    def apply(self, request: Request, answer: Answer) -> Answer:
        return answer.delivered(cut_at=self.at_byte, reset=self.reset)


@dataclass(frozen=True, slots=True)
class Hold:
    """Says nothing at all until the fault is released."""

    gate: threading.Event = field(default_factory=threading.Event)

    def apply(self, request: Request, answer: Answer) -> Answer:
        return answer.delivered(hold=self.gate)


@dataclass(frozen=True, slots=True)
class Stall:
    """Says nothing after *at_byte* bytes of the body until the fault is released."""

    at_byte: int
    gate: threading.Event = field(default_factory=threading.Event)

    def apply(self, request: Request, answer: Answer) -> Answer:
        return answer.delivered(stall_at=self.at_byte, stall=self.gate)


@dataclass(frozen=True, slots=True)
class Slow:
    """Sends *bytes_each* bytes of the body every *every_seconds*."""

    bytes_each: int
    every_seconds: float

    def apply(self, request: Request, answer: Answer) -> Answer:
        return answer.delivered(drip=Drip(self.bytes_each, self.every_seconds))


@dataclass(frozen=True, slots=True)
class Raw:
    """Sends these bytes in place of an answer and ends the connection."""

    data: bytes

    def apply(self, request: Request, answer: Answer) -> Answer:
        return answer.delivered(raw=self.data)


# --- lies about length and framing ---


@dataclass(frozen=True, slots=True)
class WrongLength:
    """Declares *by* bytes more (or fewer) than it sends; the connection ends after them."""

    by: int

    def apply(self, request: Request, answer: Answer) -> Answer:
        return answer.delivered(length_by=self.by)


@dataclass(frozen=True, slots=True)
class NoLength:
    """Sends the body in chunks, or up to the end of the connection, without its length."""

    framed: Framed = Framed.BY_CHUNKS

    def apply(self, request: Request, answer: Answer) -> Answer:
        return answer.delivered(framed=self.framed)


# --- lies about content ---


@dataclass(frozen=True, slots=True)
class WrongByte:
    """Changes the byte at *at* of the content (negative: from its end)."""

    at: int

    def apply(self, request: Request, answer: Answer) -> Answer:
        if answer.status == 206 and answer.whole is not None:
            start = int(answer.field("Content-Range").split()[1].partition("-")[0])
            return replace(answer, body=_flipped(answer.body, self.at, start, len(answer.whole)))
        return replace(answer, body=_flipped(answer.body, self.at, 0, len(answer.body)))


@dataclass(frozen=True, slots=True)
class OtherBody:
    """Sends another body, of the same or another type."""

    body: bytes = field(repr=False)
    media_type: str | None = None

    def apply(self, request: Request, answer: Answer) -> Answer:
        changed = replace(answer, body=self.body)
        return changed.with_field("Content-Type", self.media_type) if self.media_type else changed


@dataclass(frozen=True, slots=True)
class Resized:
    """Sends *by* bytes more (or fewer) than the content has, and declares just that."""

    by: int

    def apply(self, request: Request, answer: Answer) -> Answer:
        body = answer.body[: self.by] if self.by < 0 else answer.body + bytes(self.by)
        return replace(answer, body=body)


@dataclass(frozen=True, slots=True)
class Header:
    """Sets a header, or leaves it out if *value* is None."""

    name: str
    value: str | None

    def apply(self, request: Request, answer: Answer) -> Answer:
        return answer.with_field(self.name, self.value)


@dataclass(frozen=True, slots=True)
class MoreHeaders:
    """Adds headers, also such as are there already."""

    pairs: Pairs

    def apply(self, request: Request, answer: Answer) -> Answer:
        return replace(answer, fields=(*answer.fields, *self.pairs))


@dataclass(frozen=True, slots=True)
class Gzipped:
    """Compresses the body and says so in Content-Encoding."""

    def apply(self, request: Request, answer: Answer) -> Answer:
        zipped = replace(answer, body=gzip.compress(answer.body, mtime=0))
        return zipped.with_field("Content-Encoding", "gzip")


# --- ranges ---


@dataclass(frozen=True, slots=True)
class IgnoredRange:
    """Answers a request for a range with 200 and everything."""

    def apply(self, request: Request, answer: Answer) -> Answer:
        if answer.whole is None:
            return answer
        return replace(answer, status=200, body=answer.whole).with_field("Content-Range", None)


@dataclass(frozen=True, slots=True)
class UnaskedRange:
    """Answers 206 for the first *size* bytes, whether or not a range was asked for."""

    size: int

    def apply(self, request: Request, answer: Answer) -> Answer:
        content = answer.body if answer.whole is None else answer.whole
        part = replace(answer, status=206, body=content[: self.size], whole=content)
        return part.with_field("Content-Range", f"bytes 0-{self.size - 1}/{len(content)}")


# --- other answers ---


@dataclass(frozen=True, slots=True)
class Status:
    """Answers with a status and the spec's JSON (with *code*, or one that fits)."""

    status: int
    code: str | None = None
    fields: Pairs = ()

    def apply(self, request: Request, answer: Answer) -> Answer:
        return problem(self.status, self.code or CODES.get(self.status, "UNKNOWN"), "", self.fields)


@dataclass(frozen=True, slots=True)
class Page:
    """Answers with a status and a page that isn't the registry's (HTML, plain text)."""

    status: int
    body: bytes = HTML
    media_type: str = "text/html"

    def apply(self, request: Request, answer: Answer) -> Answer:
        return Answer(self.status, (("Content-Type", self.media_type),), self.body)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Sends the client to another place."""

    location: str
    status: int = 307

    def apply(self, request: Request, answer: Answer) -> Answer:
        return Answer(self.status, (("Location", self.location), ("Content-Type", OCTETS)))


@dataclass(frozen=True, slots=True)
class Challenge:
    """Answers 401 with this WWW-Authenticate."""

    value: str

    def apply(self, request: Request, answer: Answer) -> Answer:
        return problem(401, "UNAUTHORIZED", "", (("WWW-Authenticate", self.value),))


# --- while the body of a request is on the way ---


@dataclass(frozen=True, slots=True)
class RefuseEarly:
    """Answers with *fault* after *after_bytes* of the body and ends the connection.

    0: before anything of it was read, also in place of 100.
    """

    fault: AnswerFault = Status(403)
    after_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Unread:
    """Reads *after_bytes* of the body, then nothing until the fault is released."""

    after_bytes: int = 0
    gate: threading.Event = field(default_factory=threading.Event)


Kind = AnswerFault | RefuseEarly | Unread


def _flipped(body: bytes, at: int, start: int, size: int) -> bytes:
    """Give *body*, which begins at *start* of *size* bytes, with the byte at *at* changed."""
    index = (at if at >= 0 else size + at) - start
    if not 0 <= index < len(body):
        return body
    changed = bytearray(body)
    changed[index] ^= 0xFF
    return bytes(changed)
