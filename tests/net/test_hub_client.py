"""The client of the hub: what it sends, what it makes of answers, and how long it waits."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from proxy.net.hub import (
    CursorGone,
    HubAddress,
    HubClient,
    HubLimits,
    HubRefused,
    HubUnavailable,
)
from proxy.net.sse import ServerEvent
from tests.net.conftest import leftover_tasks
from tests.net.peer import Call, Handler, answering, peer, saying, silent
from tests.support.ports import LOOPBACK, claimed_port
from tests.support.waiting import eventually

QUICK = HubLimits(connect=2.0, answer=0.5, silence=0.5)
PATIENT = HubLimits(connect=2.0, answer=5.0, silence=5.0)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
CHUNKED_HEAD = STREAM_HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("first-token\n")
    return path


class Clients(list[HubClient]):
    """The clients that a test opened; all are closed at its end."""

    def open(self, url: str, token_file: Path, limits: HubLimits = PATIENT, **more) -> HubClient:
        self.append(HubClient(HubAddress(url, token_file, **more), "proxima/test", limits))
        return self[-1]


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    opened = Clients()
    yield opened
    for each in opened:
        await each.close()
    await eventually(lambda: not leftover_tasks(), 2, "no task is left")


async def test_a_question_shows_the_token_that_the_file_has_now(clients, token_file):
    """The token goes along as a bearer; a changed file counts from the next request on."""
    async with peer(answering(200, b'{"head": 7}')) as hub:
        client = clients.open(f"http://{LOOPBACK}:{hub.port}", token_file)
        assert await client.get("/v1/self") == {"head": 7}
        token_file.write_text("second-token")
        assert await client.post("/v1/lease", {"cursor": "e:1"}) == {"head": 7}
    shown = [each.fields.get("Authorization") for each in hub.seen]
    assert shown == ["Bearer first-token", "Bearer second-token"]
    assert [(each.method, each.target) for each in hub.seen] == [
        ("GET", "/v1/self"),
        ("POST", "/v1/lease"),
    ]
    assert hub.seen[1].fields.get("Content-Type") == "application/json"


async def test_a_proxy_in_the_environment_is_ignored(clients, token_file, monkeypatch):
    """The hub is spoken to directly, whatever the environment says of proxies."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://{LOOPBACK}:1")
    async with peer(answering(200, b"{}")) as hub:
        client = clients.open(f"http://{LOOPBACK}:{hub.port}", token_file)
        assert await client.get("/v1/self") == {}
    assert len(hub.seen) == 1


@pytest.mark.parametrize("text", ["", "  \n", "two words", "t\u00f6ken", "a\nb", "a" * 5000])
async def test_a_file_without_a_token(clients, token_file, text):
    """What can't be a token isn't sent, and is no refusal by the hub: a rotation may be under way,
    after which it goes on.
    """
    token_file.write_text(text)
    async with peer(answering(200, b"{}")) as hub:
        client = clients.open(f"http://{LOOPBACK}:{hub.port}", token_file)
        with pytest.raises(HubUnavailable, match="file of the token"):
            await client.get("/v1/self")
        assert hub.connections == 0
        token_file.write_text("second-token")
        assert await client.get("/v1/self") == {}


async def test_a_missing_file(clients, token_file):
    """A token file that isn't there, or can't be opened now, is no refusal by the hub either."""
    token_file.unlink()
    with pytest.raises(HubUnavailable, match="can't be read"):
        await clients.open(f"http://{LOOPBACK}:1", token_file).get("/v1/self")


ANSWERS: dict[str, tuple[Handler, type[Exception]]] = {
    "401": (answering(401, b'{"errors":[]}'), HubRefused),
    "403": (answering(403), HubRefused),
    "410": (answering(410, b'{"epoch":"e","head":1}'), CursorGone),
    "400": (answering(400), HubUnavailable),
    "404": (answering(404), HubUnavailable),
    "429": (answering(429), HubUnavailable),
    "500": (answering(500), HubUnavailable),
    "redirect": (answering(307, b"", "Location: http://127.0.0.1:1/"), HubUnavailable),
    "no-json": (answering(200, b"<html>"), HubUnavailable),
    "no-object": (answering(200, b"[1]"), HubUnavailable),
    "deep": (answering(200, b"[" * 100_000), HubUnavailable),
    "nothing": (answering(200, b""), HubUnavailable),
    "too-much": (answering(200, b'"' + b"a" * (2 << 20) + b'"'), HubUnavailable),
    "cut-off": (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), HubUnavailable),
    "no-http": (saying(b"hello\r\n\r\n"), HubUnavailable),
    "silence": (silent, HubUnavailable),
}


async def opened(client: HubClient) -> None:
    async with client.events("e:1"):
        pass


VERBS = {
    "get": lambda client: client.get("/v1/self"),
    "post": lambda client: client.post("/v1/lease", {}),
    "events": opened,
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("verb", VERBS)
async def test_each_bad_answer_is_one_of_three_things(clients, token_file, name, verb):
    """Refused, gone and unavailable are told apart; every other answer is unavailable, in time.
    What is said of it fits whoever asked.
    """
    handler, expected = ANSWERS[name]
    async with peer(handler) as hub, asyncio.timeout(4):
        client = clients.open(f"http://{LOOPBACK}:{hub.port}", token_file, QUICK)
        with pytest.raises(expected) as caught:
            await VERBS[verb](client)
    assert type(caught.value) is expected
    assert "the hub" in caught.value.message
    assert "replica" not in caught.value.message
    assert "primary" not in caught.value.message
    assert hub.connections == 1


async def test_a_hub_that_is_away(clients, token_file):
    """A refused connection is unavailable."""
    with claimed_port() as port, pytest.raises(HubUnavailable):
        await clients.open(f"http://{LOOPBACK}:{port}", token_file).get("/v1/self")


async def test_a_time_to_come_again(clients, token_file):
    """Retry-After comes along where it is a number of seconds."""
    async with peer(answering(503, b"", "Retry-After: 17")) as hub:
        with pytest.raises(HubUnavailable) as caught:
            await clients.open(f"http://{LOOPBACK}:{hub.port}", token_file).get("/v1/self")
    assert (caught.value.is_time_named, caught.value.retry_after_seconds) == (True, 17)


@pytest.mark.parametrize(("status", "is_rejection"), [(400, True), (413, True), (503, False)])
async def test_what_wont_do_later_either(clients, token_file, status, is_rejection):
    """An answer that says that what was sent can't be used is told from one that doesn't."""
    async with peer(answering(status)) as hub:
        with pytest.raises(HubUnavailable) as caught:
            await clients.open(f"http://{LOOPBACK}:{hub.port}", token_file).post("/v1/reports", {})
    assert caught.value.is_rejection == is_rejection


async def test_what_comes_together_is_given_together(clients, token_file):
    """A stream is asked for behind a cursor; events of one piece are one batch, until its end."""

    async def stream(call: Call) -> None:
        await call.head()
        await call.send(STREAM_HEAD + b"retry: 250\n\nid: e:2\ndata: a\n\nid: e:3\ndata: b\n\n")
        await more.wait()
        await call.send(b"id: e:4\ndata: c\n\ndata: cut off")
        call.writer.close()

    more = asyncio.Event()
    async with peer(stream) as hub:
        client = clients.open(f"http://{LOOPBACK}:{hub.port}", token_file)
        batches: list[list[ServerEvent]] = []
        async with client.events("e:1") as opened:
            async for batch in opened.batches():
                batches.append(batch)
                more.set()
            assert opened.retry_seconds == 0.25
    assert [[(each.id, each.data) for each in batch] for batch in batches] == [
        [("e:2", "a"), ("e:3", "b")],
        [("e:4", "c")],
    ]
    (request,) = hub.seen
    assert request.target == "/v1/events?after=e:1"
    assert request.fields.get("Accept") == "text/event-stream"


@pytest.mark.parametrize("ending", ["silence", "reset", "endless-line"])
async def test_a_stream_that_breaks(clients, token_file, ending):
    """A stream that says nothing for the time of some heartbeats, is reset, or has no line's end
    is unavailable, after what came before.
    """

    async def stream(call: Call) -> None:
        await call.head()
        await call.send(CHUNKED_HEAD + chunk(b"data: a\n\n"))
        await got_first.wait()
        if ending == "reset":
            call.reset()
        elif ending == "endless-line":
            await call.send(chunk(b"a" * (1 << 20)))
        await call.rest()

    got_first = asyncio.Event()
    async with peer(stream) as hub, asyncio.timeout(4):
        client = clients.open(f"http://{LOOPBACK}:{hub.port}", token_file, QUICK)
        batches = []

        async def read() -> None:
            async with client.events("e:1") as opened:
                async for batch in opened.batches():
                    batches.append(batch)
                    got_first.set()

        with pytest.raises(HubUnavailable):
            await read()
        assert batches == [[ServerEvent("a")]]
        await eventually(lambda: not hub.is_open, 2, "its connection is closed")


async def test_heartbeats_keep_a_stream(clients, token_file):
    """A stream lives longer than the time of silence as long as something comes in between."""

    async def stream(call: Call) -> None:
        await call.head()
        await call.send(STREAM_HEAD)
        for number in range(6):
            await asyncio.sleep(QUICK.silence / 3)
            await call.send(b"data: %d\n\n" % number)
        call.writer.close()

    async with peer(stream) as hub:
        client = clients.open(f"http://{LOOPBACK}:{hub.port}", token_file, QUICK)
        async with client.events("e:1") as opened:
            found = [each.data async for batch in opened.batches() for each in batch]
    assert found == [str(number) for number in range(6)]


async def test_a_reader_who_leaves_ends_the_stream(clients, token_file):
    """The connection of a stream ends with the block that reads it."""

    async def stream(call: Call) -> None:
        await call.head()
        await call.send(STREAM_HEAD + b"data: a\n\n")
        await call.rest()

    async with peer(stream) as hub:
        client = clients.open(f"http://{LOOPBACK}:{hub.port}", token_file)
        async with client.events("e:1") as opened:
            async for _ in opened.batches():
                break
        await eventually(lambda: not hub.is_open, 2, "its connection is closed")


@pytest.mark.parametrize("is_pinned", [True, False])
async def test_only_the_pinned_authority_is_trusted(clients, token_file, tmp_path, is_pinned):
    """Over TLS the hub is who the pinned certificates say; to anybody else nothing is sent."""
    ours, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (ours if is_pinned else other).issue_cert(LOOPBACK).configure_cert(context)
    ca_file = tmp_path / "hub-ca.pem"
    ours.cert_pem.write_to_path(str(ca_file))
    async with peer(answering(200, b"{}"), tls=context) as hub:
        client = clients.open(f"https://{LOOPBACK}:{hub.port}", token_file, ca_file=ca_file)
        if is_pinned:
            assert await client.get("/v1/self") == {}
        else:
            with pytest.raises(HubUnavailable):
                await client.get("/v1/self")
        assert len(hub.seen) == is_pinned
