"""What the session says and does where aiohttp's defaults would do harm to a proxy."""

import gzip
import socket
from pathlib import Path

import pytest

from proxy.net.origins import Origin
from proxy.net.session import NotConnected, Outgoing, Session
from proxy.oci.errors import BadGateway, SizeInvalid, Unavailable
from tests.net.conftest import OpenSession, held_connections, idle_connections
from tests.net.peer import Call, answering, peer, polite, saying
from tests.support.certificates import Authority
from tests.support.trap import trap
from tests.support.waiting import eventually

GET = Outgoing("GET", "/v2/", {})
UNFINISHED = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell"


# --- the request ----------------------------------------------------------------------------------


async def test_request_says_no_more_than_it_must(session: Session) -> None:
    """A request has our headers, who we are, and that bytes are wanted as they are."""
    async with peer(polite) as primary:
        headers = {"Accept": "application/json", "Authorization": "Bearer a", "Via": "1.1 x"}
        answer = await session.send(primary.origin, Outgoing("GET", "/v2/", headers))
        assert await answer.read(100) == b"/v2/"
    assert sorted(primary.seen[0].fields.pairs) == [
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("Authorization", "Bearer a"),
        ("Host", primary.origin.authority),
        ("User-Agent", "proxima"),
        ("Via", "1.1 x"),
    ]


@pytest.mark.parametrize(
    "target",
    [
        "/v2/",
        "/",
        "//v2//a",
        "/a/../b/./c",
        "/v2/a/blobs/sha256:0",
        "/v2/a/blobs/sha256%3A0%2f%2F%2e",
        "/u?_state=a%2Fb+c%3d&empty=&flag&&z=;,@/?:!$'()*~",
        "/u?a=1?b=2",
        '/"<>\\^`{|}',
    ],
)
async def test_target_goes_out_byte_exact(session: Session, target: str) -> None:
    """C11: what is forwarded is the target as it was given, not a tidied one."""
    async with peer(polite) as primary:
        answer = await session.send(primary.origin, Outgoing("GET", target, {}))
        assert (await answer.read(1000)).decode() == target
    assert [request.target for request in primary.seen] == [target]


@pytest.mark.parametrize(
    "target",
    [
        "",
        "v2/",
        "http://x/",
        "/a b",
        "/a\tb",
        "/a\r\nX: 1",
        "/a\n",
        "/\x00",
        "/\x7f",
        "/\u00e4",
        "/#a",
    ],
)
async def test_target_that_http_does_not_know_is_refused(session: Session, target: str) -> None:
    """C10: what a redirect or a realm points to is never written into a request line unless it is
    a target of HTTP's grammar.
    """
    async with peer(polite) as primary:
        with pytest.raises(BadGateway):
            await session.send(primary.origin, Outgoing("GET", target, {}))
    assert primary.connections == 0


async def test_form_is_sent_with_its_length(session: Session) -> None:
    """A body of bytes goes out whole, with the type that was given and no other."""

    async def handle(call: Call) -> None:
        request = await call.head()
        await call.answer(200, await call.body(request))

    async with peer(handle) as realm:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await session.send(realm.origin, Outgoing("POST", "/token", headers, b"a=1&b=2"))
        assert await answer.read(100) == b"a=1&b=2"
    fields = realm.seen[0].fields
    assert fields.all("Content-Length") == ["7"]
    assert fields.all("Content-Type") == ["application/x-www-form-urlencoded"]
    assert "Expect" not in fields


async def test_type_is_not_made_up(session: Session) -> None:
    """A write without a Content-Type gets none from us."""
    async with peer(polite) as primary:
        for body in (None, b"x"):
            answer = await session.send(primary.origin, Outgoing("POST", "/", {}, body))
            await answer.read(100)
    assert [request.fields.all("Content-Type") for request in primary.seen] == [[], []]


# --- what is not followed, kept, inflated or read from the environment ----------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(session: Session, status: int) -> None:
    """C13: a redirect is an answer like another: nobody goes there by himself."""
    with trap() as elsewhere:
        async with peer(answering(status, b"", f"Location: {elsewhere.url}/x")) as primary:
            answer = await session.send(primary.origin, GET)
            await answer.drop()
        assert (answer.status, answer.header("Location")) == (status, f"{elsewhere.url}/x")
        assert elsewhere.connections == 0


async def test_body_is_not_inflated(session: Session) -> None:
    """Bytes stay as they came, and the header that tells of their coding stays with them (T15)."""
    body = gzip.compress(b"a" * 100_000)
    async with peer(answering(200, body, "Content-Encoding: gzip")) as primary:
        answer = await session.send(primary.origin, GET)
        assert await answer.read(1000) == body
        assert answer.header("Content-Encoding") == "gzip"
        assert answer.content_length == len(body)


async def test_cookies_are_not_kept(session: Session) -> None:
    """What one answer sets isn't sent with the next request."""
    async with peer(answering(200, b"", "Set-Cookie: a=1; Path=/")) as primary:
        for _ in range(2):
            await (await session.send(primary.origin, GET)).drop()
    assert len(primary.seen) == 2
    assert not any("Cookie" in request.fields for request in primary.seen)


async def test_environment_is_not_read(
    open_session: OpenSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """C13: proxies and passwords of the environment have no say in where requests go."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with trap() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        session = open_session()
        async with peer(polite) as primary:
            await (await session.send(primary.origin, GET)).drop()
        assert proxy.connections == 0
    assert "Authorization" not in primary.seen[0].fields


# --- answers that break HTTP ----------------------------------------------------------------------

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


# --- letting go -----------------------------------------------------------------------------------


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


# --- connections ----------------------------------------------------------------------------------


async def test_connection_is_used_again(session: Session) -> None:
    """Requests one after the other share a connection."""
    async with peer(polite) as primary:
        for _ in range(5):
            await (await session.send(primary.origin, GET)).read(100)
    assert (primary.connections, len(primary.seen)) == (1, 5)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_closed_idle_connection_is_not_used(session: Session, method: str) -> None:
    """A connection that the other side closed while it was idle costs no request."""

    async def once(call: Call) -> None:
        await call.head()
        await call.answer()

    async with peer(once) as primary:
        for expected in (1, 2):
            await (await session.send(primary.origin, Outgoing(method, "/", {}))).drop()
            assert primary.connections == expected
            await eventually(lambda: not idle_connections(session), 2)


@pytest.mark.parametrize(
    ("method", "requests"), [("GET", 3), ("HEAD", 3), ("POST", 2), ("PATCH", 2)]
)
async def test_connection_that_ends_under_a_request(
    session: Session, method: str, requests: int
) -> None:
    """A kept connection that ends as a request is sent on it: reads are asked again on a fresh one,
    what may have had an effect isn't.
    """

    async def once_and_a_half(call: Call) -> None:
        await call.head()
        await call.answer()
        await call.head()
        if call.number == 1:
            call.reset()
        else:
            await call.answer()

    async with peer(once_and_a_half) as primary:
        await (await session.send(primary.origin, GET)).drop()
        request = Outgoing(method, "/", {})
        if requests == 3:
            await (await session.send(primary.origin, request)).drop()
        else:
            with pytest.raises(Unavailable):
                await session.send(primary.origin, request)
    assert len(primary.seen) == requests


async def test_nobody_listens(session: Session) -> None:
    """A refused connection is told from one that came about and broke."""
    async with peer(polite) as primary:
        pass
    with pytest.raises(NotConnected):
        await session.send(primary.origin, GET)


async def test_connection_that_does_not_come_about(open_session: OpenSession) -> None:
    """C22: an address that swallows packets is given up after the connect timeout."""
    session = open_session(connect_timeout=0.2)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        queued = [socket.socket() for _ in range(3)]
        for one in queued:  # fill the queue of those that nobody accepts
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        with pytest.raises(NotConnected):
            await session.send(Origin("http", *deaf.getsockname()), GET)
        for one in queued:
            one.close()


async def test_connections_are_bounded(
    open_session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more connections are open than the limit says; who waits too long for one is told."""
    monkeypatch.setattr("proxy.net.session.POOL_WAIT_SECONDS", 0.1)
    session = open_session(max_connections=2)
    async with peer(saying(UNFINISHED)) as primary:
        held = [await session.send(primary.origin, GET) for _ in range(2)]
        with pytest.raises(NotConnected):
            await session.send(primary.origin, GET)
        assert primary.connections == 2
        held.pop().close()
        held.append(await session.send(primary.origin, GET))
        assert primary.connections == 3
        for answer in held:
            answer.close()


# --- TLS ------------------------------------------------------------------------------------------


async def test_host_and_server_name_stay_the_origins(
    open_session: OpenSession, authority: Authority
) -> None:
    """Connected to by address, a primary is asked and authenticated by its name; HTTP/1.1 is all
    that is offered.
    """
    names: list[str | None] = []
    tls = authority.server_context("registry.example.com")
    tls.set_alpn_protocols(["h2", "http/1.1"])
    tls.sni_callback = lambda _, name, __: names.append(name)  # type: ignore[assignment]
    protocols: list[str | None] = []

    async def handle(call: Call) -> None:
        connection = call.writer.get_extra_info("ssl_object")
        protocols.append(connection.selected_alpn_protocol())
        await polite(call)

    session = open_session(more={"ca_file": str(authority.ca_file)})
    async with peer(handle, tls=tls) as primary:
        origin = Origin("https", "registry.example.com", 443)
        answer = await session.send(origin, GET, address=primary.address)
        await answer.drop()
    assert primary.seen[0].fields.all("Host") == ["registry.example.com"]
    assert (names, protocols) == (["registry.example.com"], ["http/1.1"])


@pytest.mark.parametrize(
    ("certified", "is_trusted"),
    [("other.example.com", True), ("127.0.0.1", True), ("registry.example.com", False)],
)
async def test_wrong_certificate_is_no_connection(
    open_session: OpenSession, authority: Authority, certified: str, is_trusted: bool
) -> None:
    """T17: an address whose certificate isn't one for the name sees no request."""
    session = open_session(more={"ca_file": str(authority.ca_file)} if is_trusted else {})
    async with peer(polite, tls=authority.server_context(certified)) as impostor:
        origin = Origin("https", "registry.example.com", 443)
        with pytest.raises(NotConnected):
            await session.send(origin, GET, address=impostor.address)
    assert impostor.seen == []


async def test_names_of_one_address_share_no_connection(
    open_session: OpenSession, authority: Authority
) -> None:
    """A connection that was authenticated for one name isn't used for another."""
    tls = authority.server_context("a.example.com", "b.example.com")
    session = open_session(more={"ca_file": str(authority.ca_file)})
    async with peer(polite, tls=tls) as primary:
        for name in ("a.example.com", "b.example.com", "a.example.com"):
            origin = Origin("https", name, 443)
            await (await session.send(origin, GET, address=primary.address)).drop()
    assert primary.connections == 2
