"""A region with networks: who isn't of them gets a 403, and gets it before anything else."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest

from tests.support.raw_http import Ending, RawConnection, RawReply, raw_connection, request_bytes
from tests.web.behind import BEHIND, ENDED, ask
from tests.web.conftest import REPOSITORY, Place, blob_path
from tests.web.corpus import HOST
from tests.web.flooding import FRAMINGS, LET_IN_AT_MOST, flood
from tests.web.forwarded import CLIENT, CLIENT6, PROXY, STRANGER, TABLE, TRUSTED
from tests.web.proxy_headers import text_header
from tests.web.serving import LOOPS, Serving, serving

LISTED = (f"{CLIENT}/32", f"{CLIENT6}/128")
DIGEST = f"sha256:{64 * 'a'}"
CLOSED_WITHIN_SECONDS = 2.5  # a second to drain, and what a busy machine adds

# Everything that is served to anybody, and what isn't.
TARGETS = (
    ("GET", "/v2/"),
    ("HEAD", "/v2/"),
    ("GET", f"/v2/{REPOSITORY}/manifests/v1"),
    ("HEAD", f"/v2/{REPOSITORY}/blobs/{DIGEST}"),
    ("GET", f"/v2/{REPOSITORY}/tags/list"),
    ("GET", f"/v2/{REPOSITORY}/referrers/{DIGEST}"),
    ("GET", "/v2/_catalog"),
    ("GET", f"/v2/token?service=x&scope=repository:{REPOSITORY}:pull"),
    ("POST", "/v2/token"),
    ("POST", f"/v2/{REPOSITORY}/blobs/uploads/"),
    ("PATCH", f"/v2/{REPOSITORY}/blobs/uploads/session"),
    ("PUT", f"/v2/{REPOSITORY}/manifests/v1"),
    ("DELETE", f"/v2/{REPOSITORY}/manifests/v1"),
    ("GET", "/"),  # redirected, for others
    ("GET", "/metrics"),
    ("OPTIONS", "/v2/"),
)

SAYS_WHO = (
    ("X_Forwarded_For", CLIENT),
    ("X-Forwarded_For", CLIENT),
    ("X-Forwarded-For ", CLIENT),
    ("Forwarded", f"for={CLIENT}"),
    ("X-Real-IP", CLIENT),
    ("X-Client-IP", CLIENT),
    ("True-Client-IP", CLIENT),
    ("CF-Connecting-IP", CLIENT),
    ("X-Cluster-Client-IP", CLIENT),
    ("X-Forwarded", CLIENT),
    ("X-Forwarded-Host", CLIENT),
    ("Via", f"1.1 {CLIENT}"),
)
HOP_BY_HOP = ("X-Forwarded-For", "X-Forwarded-For, Host", "close, x-forwarded-for")


@pytest.fixture(scope="module")
def private(module_place: Place) -> Iterator[Serving]:
    """A region of two clients, behind a front end that announces whom a test wants."""
    trusted = ["127.0.0.1/32", "::1/128", *map(str, TRUSTED)]
    with serving(
        module_place.upstream,
        listen={**BEHIND, "other_paths": "redirect"},
        access={"trusted_proxies": trusted, "networks": LISTED},
    ) as served:
        yield served


def _status(served: Serving, peer: str, *fields: tuple[str, str]) -> int:
    """Give what a peer gets that says this of whom it speaks for."""
    return ask(served, text_header(peer), request_bytes("GET", "/v2/", HOST, *fields)).status


def _expect_refusal(reply: RawReply, client: str, *, has_body: bool = True) -> None:
    assert (reply.status, reply.is_complete, reply.interim) == (403, True, ())
    assert reply.header("Connection") == "close"
    if has_body:
        (error,) = json.loads(reply.body)["errors"]
        assert error == {
            "code": "DENIED",
            "message": "this region is closed to your network",
            "detail": {"client": client},
        }


ANNOUNCED = tuple(row for row in TABLE if row[0])


@pytest.mark.parametrize(("peer", "lines", "client"), ANNOUNCED)
def test_who_may_enter(private: Serving, peer: str, lines: list[str], client: str):
    """C28, T10: whom a trusted proxy names decides; what anybody else writes changes nothing."""
    fields = [("X-Forwarded-For", line.replace("\udcff", "\xff")) for line in lines]
    expected = 200 if client in (CLIENT, CLIENT6) else 403
    assert _status(private, peer, *fields) == expected


def test_the_table_has_both():
    """The rows above let some in and refuse others, of trusted peers and of strangers."""
    is_inside = [client in (CLIENT, CLIENT6) for _, _, client in ANNOUNCED]
    assert min(is_inside.count(True), is_inside.count(False)) > 10


@pytest.mark.parametrize("peer", [STRANGER, PROXY])
@pytest.mark.parametrize("field", SAYS_WHO, ids=lambda field: field[0])
def test_no_other_header_says_who(private: Serving, peer: str, field: tuple[str, str]):
    """C28: no header but X-Forwarded-For, spelt like that, lets anybody in, whoever sends it."""
    assert _status(private, peer, field) in (400, 403)
    if field[0].strip() == field[0]:
        assert _status(private, peer, field) == 403


@pytest.mark.parametrize("named", HOP_BY_HOP)
@pytest.mark.parametrize(
    ("peer", "forwarded", "status"),
    [
        (STRANGER, CLIENT, 403),
        (PROXY, STRANGER, 403),
        (PROXY, CLIENT, 200),
        (CLIENT, STRANGER, 200),
    ],
)
def test_hop_by_hop(private: Serving, named: str, peer: str, forwarded: str, status: int):
    """C28, T9: a Connection header that names the others takes nothing from them, nor adds."""
    fields = (("Connection", named), ("X-Forwarded-For", forwarded))
    assert _status(private, peer, *fields) == status


@pytest.mark.parametrize(("method", "target"), TARGETS)
def test_no_path_is_open(place: Place, private: Serving, method: str, target: str):
    """Every path of the public listener refuses a stranger in the spec's form, and closes; the
    primary hears nothing of it.
    """
    reply = _asked(private, method, target)
    _expect_refusal(reply, STRANGER, has_body=method != "HEAD")
    assert reply.ending in ENDED
    assert place.upstream.seen == []


def _asked(served: Serving, method: str, target: str) -> RawReply:
    with raw_connection(served.address) as connection:
        connection.send(text_header(STRANGER) + request_bytes(method, target, HOST))
        reply = connection.read_reply(method)
        return replace(reply, ending=connection.wait_for_end())


# --- bodies ---------------------------------------------------------------------------------------


@pytest.fixture(
    scope="module", params=[f"{loop}-{way}" for loop in LOOPS for way in ("plain", "tls")]
)
def closed(request, module_place: Place, authority) -> Iterator[tuple[Serving, object]]:
    """A region that is closed to this machine, and how to speak to it."""
    loop, _, way = request.param.partition("-")
    sections, context = {}, None
    if way == "tls":
        files = authority.issue(HOST)
        sections["tls"] = {"certificate": files.certificate, "key": files.key}
        context = authority.client_context()
    access = {"networks": ["192.0.2.0/24"]}
    with serving(module_place.upstream, loop=loop, access=access, **sections) as served:
        yield served, context


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_strangers_body_is_not_asked_for(closed, place: Place, framing: str):
    """C12: who waits with a body gets the 403 and no 100, and the end at once."""
    served, tls = closed
    fields = (*FRAMINGS[framing], ("Expect", "100-continue"))
    with raw_connection(served.address, tls=tls) as connection:
        connection.send(request_bytes("PUT", place.manifest_path, HOST, *fields))
        _expect_refusal(connection.read_reply(), HOST)
        answered_at = time.monotonic()
        assert connection.wait_for_end() is not Ending.KEPT_OPEN
    assert time.monotonic() - answered_at < CLOSED_WITHIN_SECONDS
    assert place.upstream.seen == []


def test_a_strangers_body_is_not_read(closed, place: Place):
    """C12: who sends without asking is let in for less than a MiB."""
    served, tls = closed
    with raw_connection(served.address, tls=tls) as connection:
        connection.send(request_bytes("PUT", place.manifest_path, HOST, *FRAMINGS["length"]))
        sent = flood(connection, in_chunks=False)
        reply = connection.read_reply()
    assert sent < LET_IN_AT_MOST
    if tls is None:  # a TLS client that met a reset reads nothing more
        _expect_refusal(reply, HOST)
    assert place.upstream.seen == []


# --- what is seen of it ---------------------------------------------------------------------------


def test_refusals_are_counted_and_make_few_lines(closed):
    """Strangers are counted by an enum's reason, and make a line a second at most: none has one of
    its own, however many they are.
    """
    served, tls = closed
    before, series = _refused(served), served.metrics().series
    lines = len(served.events())
    started_at = time.monotonic()
    for number in range(40):
        with raw_connection(served.address, tls=tls) as connection:
            connection.send(request_bytes("GET", f"/v2/r{number}/manifests/v{number}", HOST))
            assert connection.read_reply().status == 403
    seconds = time.monotonic() - started_at
    assert _refused(served) - before == 40
    assert served.metrics().series == series
    told = served.events()[lines:]
    assert {line["event"] for line in told} <= {"client.refused"}
    assert len(told) <= seconds + 1


def _refused(served: Serving) -> float:
    return served.metrics().value("proxima_clients_refused_total", reason="outside")


def test_what_is_being_answered_goes_on(place: Place):
    """A region that is closed in the middle of a pull finishes it; the connection's next request is
    refused.
    """
    content = place.warm(place.layer)
    with serving(place.upstream) as served, raw_connection(served.address) as connection:
        pull = request_bytes("GET", blob_path(content), HOST)
        connection.send(pull)
        begin = connection.read(1)
        assert begin
        _close(served)
        rest = _rest(connection, begin, len(content.data))
        assert rest.endswith(content.data[-1000:])
        connection.send(pull)
        _expect_refusal(connection.read_reply(), HOST)


def _close(served: Serving) -> None:
    networks = (ip_network("192.0.2.0/24"),)
    served.thread.loop.call_soon_threadsafe(served.replica._clients.access.list_own, networks)


def _rest(connection: RawConnection, begin: bytes, size: int) -> bytes:
    """Give an answer of so many bytes of body from its first byte on."""
    data = bytearray(begin)
    while (end := data.find(b"\r\n\r\n")) < 0 or len(data) < end + 4 + size:
        piece = connection.read(1 << 20)
        assert piece, "cut"
        data += piece
    return bytes(data)
