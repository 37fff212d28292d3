"""What the session says and does where aiohttp's defaults would do harm to a proxy."""

import gzip
from pathlib import Path

import pytest

from proxy.net.session import Outgoing, Session
from proxy.oci.errors import BadGateway
from tests.net.peer import Call, answering, peer, polite
from tests.net.sessions import GET, OpenSession
from tests.support.trap import trap


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
