"""HTTP/1.1 messages on asyncio streams, seen as they are: raw targets, fields in order, framing.

Reading is strict: what a careful server refuses is Malformed here, so that a peer which forwards
such a message is found out.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

HEAD_BYTES = 64 * 1024
PIECE_BYTES = 256 * 1024
TLS_HANDSHAKE = b"\x16"

_REQUEST_LINE = re.compile(r"([A-Z]+) ([!-~]+) HTTP/1\.1")
_STATUS_LINE = re.compile(r"HTTP/1\.1 ([0-9]{3}) ?(.*)")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_LENGTH = re.compile(r"[0-9]{1,18}")


class Malformed(Exception):
    """A message isn't HTTP/1.1, or can be read in two ways."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Header fields in the order and spelling in which they came."""

    pairs: tuple[tuple[str, str], ...] = ()

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key.lower() == name.lower()]

    def get(self, name: str, default: str = "") -> str:
        """Give the first value of a field."""
        return next(iter(self.all(name)), default)

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def encode(self) -> bytes:
        return "".join(f"{name}: {value}\r\n" for name, value in self.pairs).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request."""

    method: str
    target: str
    fields: Fields
    raw: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def expects_continue(self) -> bool:
        return self.fields.get("Expect").lower() == "100-continue"


@dataclass(frozen=True, slots=True)
class Response:
    """The head of a response."""

    status: int
    fields: Fields
    raw: bytes


@dataclass(frozen=True, slots=True)
class Length:
    """The body has this many bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Chunked:
    """The body comes in chunks."""


@dataclass(frozen=True, slots=True)
class UntilClose:
    """The body ends with the connection."""


Framing = Length | Chunked | UntilClose


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Give the next request's head; None: the peer closed. Raises: Malformed."""
    raw = await _read_head(reader)
    if raw is None:
        return None
    start, fields = _parse(raw)
    match = _REQUEST_LINE.fullmatch(start)
    if match is None or len(fields.all("Host")) != 1:
        raise Malformed(start)
    return Request(match[1], match[2], fields, raw)


async def read_response(reader: asyncio.StreamReader) -> Response:
    """Give the next response's head. Raises: Malformed, ConnectionResetError."""
    raw = await _read_head(reader)
    if raw is None:
        raise ConnectionResetError("no response")
    start, fields = _parse(raw)
    match = _STATUS_LINE.fullmatch(start)
    if match is None:
        raise Malformed(start)
    return Response(int(match[1]), fields, raw)


def request_framing(fields: Fields) -> Framing:
    """Tell how a request's body is delimited. Raises: Malformed."""
    if "Transfer-Encoding" in fields or "Content-Length" in fields:
        return _declared(fields)
    return Length(0)


def response_framing(method: str, status: int, fields: Fields) -> Framing:
    """Tell how the body of a response to *method* is delimited. Raises: Malformed."""
    if method == "HEAD" or status < 200 or status in (204, 304):
        return Length(0)
    if "Transfer-Encoding" in fields or "Content-Length" in fields:
        return _declared(fields)
    return UntilClose()


async def read_body(reader: asyncio.StreamReader, framing: Framing) -> AsyncIterator[bytes]:
    """Give the body in pieces. Raises: Malformed, IncompleteReadError if it is cut."""
    match framing:
        case Length(size):
            async for piece in _read_length(reader, size):
                yield piece
        case Chunked():
            async for piece in _read_chunks(reader):
                yield piece
        case UntilClose():
            while piece := await reader.read(PIECE_BYTES):
                yield piece


def encode_chunk(piece: bytes | memoryview) -> bytes:
    """Give *piece* as a chunk; an empty one ends the body."""
    return b"%x\r\n%b\r\n" % (len(piece), bytes(piece))


async def _read_head(reader: asyncio.StreamReader) -> bytes | None:
    first = await reader.read(1)
    if first == TLS_HANDSHAKE:  # skopeo tries TLS first and waits long for an answer
        raise ConnectionAbortedError("TLS on a plain port")
    if not first:
        return None
    try:
        return first + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise Malformed("a head without an end") from error
    except asyncio.LimitOverrunError as error:
        raise Malformed("a head without bound") from error


def _parse(raw: bytes) -> tuple[str, Fields]:
    start, *lines = raw[:-4].decode("latin-1").split("\r\n")
    matches = [_FIELD.fullmatch(line) for line in lines]
    if None in matches:
        raise Malformed(start)
    return start, Fields(tuple((match[1], match[2]) for match in matches if match))


def _declared(fields: Fields) -> Framing:
    lengths, codings = fields.all("Content-Length"), fields.all("Transfer-Encoding")
    if not lengths and [coding.lower() for coding in codings] == ["chunked"]:
        return Chunked()
    if codings or len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
        raise Malformed(f"Content-Length {lengths}, Transfer-Encoding {codings}")
    return Length(int(lengths[0]))


async def _read_length(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    left = size
    while left:
        piece = await reader.read(min(left, PIECE_BYTES))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        yield piece


async def _read_chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := await _chunk_size(reader):
        async for piece in _read_length(reader, size):
            yield piece
        if await reader.readexactly(2) != b"\r\n":
            raise Malformed("a chunk longer than it says")
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    line = await reader.readuntil(b"\r\n")
    match = re.fullmatch(rb"([0-9A-Fa-f]{1,16})(?:;[^\r\n]*)?\r\n", line)
    if match is None:
        raise Malformed("a chunk of no size")
    return int(match[1], 16)
