"""Bodies that nobody wants aren't asked for, aren't read, and don't cost the client its answer."""

import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.support.accounts import Accounts, Credentials, Grant
from tests.support.hostile import BasicLogin, HostileUpstream, hostile_upstream
from tests.support.hostile import Settings as UpstreamSettings
from tests.support.layers import random_blob
from tests.support.raw_http import Ending, RawConnection, raw_connection, request_bytes
from tests.support.token_calls import basic_value
from tests.web.corpus import HOST
from tests.web.flooding import FRAMINGS, LET_IN_AT_MOST, flood
from tests.web.serving import LOOPS, Serving, serving

CLOSED_WITHIN_SECONDS = 1.5  # a second to drain, and what a busy machine adds
UPLOADS = "/v2/alice/app/blobs/uploads/"

WRITES = tuple(
    (method, target, framing)
    for framing in FRAMINGS
    for method, target in (
        ("POST", f"{UPLOADS}?digest=sha256:{64 * 'a'}"),
        ("PATCH", f"{UPLOADS}some-session?_state=x"),
        ("PUT", f"{UPLOADS}some-session?digest=sha256:{64 * 'a'}"),
        ("PUT", "/v2/alice/app/manifests/v1"),
    )
)

UNASKED = tuple(
    (method, target, status, framing)
    for framing in FRAMINGS
    for method, target, status in (
        ("PUT", "/v2/alice/app/manifests/v1", 401),
        ("PUT", "/v1/alice", 404),
        ("POST", "/v2/alice/app/manifests/v1", 405),
    )
)


@dataclass(slots=True)
class Guarded:
    """A replica of a primary with passwords."""

    upstream: HostileUpstream
    served: Serving
    tls: ssl.SSLContext | None

    @contextmanager
    def connection(self) -> Iterator[RawConnection]:
        with raw_connection(self.served.address, tls=self.tls) as connection:
            yield connection


@pytest.fixture(scope="module")
def module_accounts() -> Accounts:
    accounts = Accounts()
    accounts.add("alice", "alice's secret")
    return accounts


@pytest.fixture(
    scope="module", params=[f"{loop}-{way}" for loop in LOOPS for way in ("plain", "tls")]
)
def guarded(request, module_accounts, authority) -> Iterator[Guarded]:
    loop, _, way = request.param.partition("-")
    sections = {}
    if way == "tls":
        files = authority.issue(HOST)
        sections["tls"] = {"certificate": files.certificate, "key": files.key}
    settings = UpstreamSettings(login=BasicLogin(module_accounts))
    with (
        hostile_upstream(settings=settings) as upstream,
        serving(upstream, loop=loop, **sections) as served,
    ):
        yield Guarded(upstream, served, authority.client_context() if sections else None)


def test_an_unauthorized_upload_is_not_asked_for(guarded: Guarded):
    """C12: `Expect: 100-continue` without credentials gets 401 and no 100, and the end at once."""
    expect = ("Expect", "100-continue")
    with ExitStack() as stack:
        connections = [stack.enter_context(guarded.connection()) for _ in WRITES]
        for connection, (method, target, framing) in zip(connections, WRITES, strict=True):
            connection.send(request_bytes(method, target, HOST, *FRAMINGS[framing], expect))
        replies = [connection.read_reply() for connection in connections]
        answered_at = time.monotonic()
        endings = [connection.wait_for_end() for connection in connections]
        seconds = time.monotonic() - answered_at
    assert {(each.status, each.interim, each.is_complete) for each in replies} == {(401, (), True)}
    assert Ending.KEPT_OPEN not in endings
    assert seconds < CLOSED_WITHIN_SECONDS
    assert {seen.method for seen in guarded.upstream.seen} <= {"GET"}


def test_a_body_that_comes_unasked_is_not_read(guarded: Guarded):
    """C12: who sends without asking is let in for less than a MiB, and can read the answer."""
    with ThreadPoolExecutor(len(UNASKED)) as pool:
        list(pool.map(lambda case: _expect_to_be_shut_out(guarded, *case), UNASKED))
    assert {seen.method for seen in guarded.upstream.seen} <= {"GET"}


def _expect_to_be_shut_out(
    guarded: Guarded, method: str, target: str, status: int, framing: str
) -> None:
    with guarded.connection() as connection:
        connection.send(request_bytes(method, target, HOST, *FRAMINGS[framing]))
        started_at = time.monotonic()
        sent = flood(connection, in_chunks=framing == "chunks")
        seconds = time.monotonic() - started_at
        reply = connection.read_reply()
    assert sent < LET_IN_AT_MOST
    assert seconds < 1 + CLOSED_WITHIN_SECONDS  # the last piece waits for a second
    if guarded.tls is None:  # a TLS client that met a reset reads nothing more
        assert (reply.status, reply.is_complete) == (status, True)


def test_a_short_body_that_comes_unasked_ends_in_order(guarded: Guarded):
    """RFC 9112, 9.6: what is sent in good faith is taken in, so that no reset eats the answer."""
    body = bytes(400_000)  # more than is read at once: some is still to come when it is answered
    length = ("Content-Length", str(len(body)))
    with guarded.connection() as connection:
        connection.send(request_bytes("PUT", "/v2/alice/app/manifests/v1", HOST, length, body=body))
        reply = connection.read_reply()
        assert (reply.status, reply.is_complete) == (401, True)
        ending = connection.wait_for_end()
    assert ending is Ending.CLOSED or guarded.tls is not None


def test_a_refusal_by_the_primary_ends_the_upload_too(guarded: Guarded):
    """C12: a caller whom the primary refuses sends nothing: no 100, its 403, the end."""
    login = ("Authorization", basic_value(Credentials("alice", "alice's secret")))
    fields = (login, *FRAMINGS["length"], ("Expect", "100-continue"))
    with guarded.connection() as connection:
        target = f"/v2/bob/app/blobs/uploads/?digest=sha256:{64 * 'a'}"
        connection.send(request_bytes("POST", target, HOST, *fields))
        reply = connection.read_reply()
        assert (reply.status, reply.interim) == (403, ())
        assert connection.wait_for_end(CLOSED_WITHIN_SECONDS + 1) is not Ending.KEPT_OPEN
    assert all(seen.body_bytes == 0 for seen in guarded.upstream.requests("POST"))


def test_an_authorized_upload_is_asked_for(module_accounts, guarded: Guarded):
    """C12: a caller who may push gets its 100 and its 201, and the connection goes on."""
    module_accounts.add("carol", "carol's secret", Grant("*"))
    login = ("Authorization", basic_value(Credentials("carol", "carol's secret")))
    content = random_blob(300_000, "asked for")
    length = ("Content-Length", str(len(content.data)))
    target = f"/v2/carol/app/blobs/uploads/?digest={content.digest}"
    with guarded.connection() as connection:
        head = request_bytes("POST", target, HOST, login, length, ("Expect", "100-continue"))
        connection.send(head)
        assert connection.read(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.socket.settimeout(10)
        connection.send(content.data)
        reply = connection.read_reply()
        assert reply.status == 201
        connection.send(request_bytes("GET", "/v2/", HOST, login))
        assert connection.read_reply().status == 200
