"""Answers that break HTTP, are longer than allowed, or that nobody wants."""

import pytest

from proxy.net.session import Outgoing, Session
from proxy.oci.errors import BadGateway, SizeInvalid
from tests.net.peer import answering, peer, polite, saying
from tests.net.sessions import GET, UNFINISHED, OpenSession, held_connections, idle_connections
from tests.support.waiting import eventually

SINGLETONS = ("Content-Type", "Content-Range", "Docker-Content-Digest", "Location", "ETag")


@pytest.mark.parametrize("name", [*SINGLETONS, "content-TYPE", "Content-Encoding"])
@pytest.mark.parametrize("second", ["a", "b"])
async def test_header_that_stands_twice_is_refused(
    session: Session, name: str, second: str
) -> None:
    """A header that may stand once and stands twice makes the answer useless, whichever of the two
    would be taken; nobody holds on to its connection.
    """
    lines = (f"{name}: a", f"{name.lower()}: {second}")
    async with peer(answering(200, b"body", *lines)) as primary:
        with pytest.raises(BadGateway):
            await session.send(primary.origin, GET)
        assert held_connections(session) == 0


async def test_headers_that_may_stand_twice_are_all_there(session: Session) -> None:
    """Challenges and warnings come in several lines."""
    lines = ("WWW-Authenticate: Basic", "WWW-Authenticate: Bearer", "Warning: 1", "Warning: 2")
    async with peer(answering(401, b"", *lines)) as primary:
        answer = await session.send(primary.origin, GET)
        await answer.drop()
    assert answer.headers.getall("WWW-Authenticate") == ["Basic", "Bearer"]


@pytest.mark.parametrize("value", [b"\xff", b"\xc3\xa4", b"a\x0bb", b"a\x7f", b"a\x80b"])
async def test_header_that_is_not_plain_text_is_absent(session: Session, value: bytes) -> None:
    """T20: a header with control characters or bytes outside ASCII isn't handed on."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nLocation: /" + value + b"\r\n\r\n"
    async with peer(saying(head)) as primary:
        try:
            answer = await session.send(primary.origin, GET)
        except BadGateway:
            return
        assert answer.header("Location") == ""
        assert answer.header("Content-Length") == "0"
        assert answer.header("ETag") == ""


OK = b"HTTP/1.1 200 OK\r\n"
BROKEN = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "two equal lengths": OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "length and chunked": OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "length that is no number": OK + b"Content-Length: ten\r\n\r\n",
    "negative length": OK + b"Content-Length: -1\r\n\r\n",
    "length with a sign": OK + b"Content-Length: +1\r\n\r\na",
    "length in hexadecimal": OK + b"Content-Length: 0x1\r\n\r\na",
    "length list": OK + b"Content-Length: 1, 1\r\n\r\na",
    "length beyond 63 bits": OK + b"Content-Length: 9223372036854775808\r\n\r\na",
    "length beyond 64 bits": OK + b"Content-Length: 99999999999999999999\r\n\r\na",
    "chunk of no size": OK + b"Transfer-Encoding: chunked\r\n\r\nxx\r\n",
    "header without a name": OK + b": a\r\n\r\n",
    "header with a NUL": OK + b"ETag: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "header line without end": OK + b"ETag: " + b"a" * 20_000,
    "a thousand headers": OK + b"X: a\r\n" * 1000 + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
async def test_answer_that_breaks_http_is_refused(open_session: OpenSession, data: bytes) -> None:
    """An answer that can't be read, or can be read in two ways, is 502, at once, and its connection
    isn't used again.
    """
    session = open_session(read_timeout=2.0)
    async with peer(saying(data)) as primary:
        with pytest.raises(BadGateway):
            await session.send(primary.origin, GET)
        assert idle_connections(session) == 0


@pytest.mark.parametrize("framing", ["Content-Length: 100000000", "Transfer-Encoding: chunked"])
async def test_body_is_read_up_to_a_limit(session: Session, framing: str) -> None:
    """No answer is taken into memory beyond what the reader allows; the connection ends there."""
    head = f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode()
    body = b"5f5e100\r\n" if "chunked" in framing else b""
    async with peer(saying(head + body + b"a" * 200_000)) as primary:
        with pytest.raises(SizeInvalid):
            await (await session.send(primary.origin, GET)).read(199_999)
        await eventually(lambda: not primary.is_open, 2)


async def test_body_of_the_limit_is_read(session: Session) -> None:
    """The limit itself is allowed."""
    async with peer(answering(200, b"a" * 200_000)) as primary:
        answer = await session.send(primary.origin, GET)
        assert await answer.read(200_000) == b"a" * 200_000
        with pytest.raises(SizeInvalid):
            await (await session.send(primary.origin, GET)).read(199_999)


@pytest.mark.parametrize(
    ("method", "data", "is_kept"),
    [
        ("GET", b"HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nhello", True),
        ("GET", b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", True),
        ("GET", b"HTTP/1.1 304 Same\r\nContent-Length: 900000\r\n\r\n", True),
        ("GET", b"HTTP/1.1 204 None\r\n\r\n", True),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n", True),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        ("GET", b"HTTP/1.1 401 No\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", False),
        ("GET", b"HTTP/1.0 401 No\r\nContent-Length: 5\r\n\r\nhello", False),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\nhello", False),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", False),
        ("GET", b"HTTP/1.1 200 OK\r\n\r\nhello", False),
    ],
)
async def test_dropped_answer(session: Session, method: str, data: bytes, is_kept: bool) -> None:
    """An answer nobody reads gives its connection back if little is left of it, else ends it."""
    async with peer(saying(data)) as primary:
        answer = await session.send(primary.origin, Outgoing(method, "/", {}))
        await answer.drop()
        assert held_connections(session) == 0
        assert idle_connections(session) == is_kept


async def test_dropped_answer_is_not_waited_for(
    open_session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short body that doesn't come is given up after a moment, not after the read timeout."""
    monkeypatch.setattr("proxy.net.session.DRAIN_SECONDS", 0.05)
    session = open_session(read_timeout=60.0)
    async with peer(saying(UNFINISHED)) as primary:
        await (await session.send(primary.origin, GET)).drop()
        assert (held_connections(session), idle_connections(session)) == (0, 0)


async def test_close_ends_an_unread_answer(session: Session) -> None:
    """An answer that is closed before its end takes its connection with it, a whole one doesn't."""
    async with peer(saying(UNFINISHED)) as primary:
        (await session.send(primary.origin, GET)).close()
        await eventually(lambda: not primary.is_open, 2)
    async with peer(polite) as primary:
        answer = await session.send(primary.origin, GET)
        await answer.read(100)
        answer.close()
        assert idle_connections(session) == 1
