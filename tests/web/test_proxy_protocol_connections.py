"""Connections behind the PROXY protocol: whom they are from, what isn't let in, what it costs."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.raw_http import (
    RawConnection,
    RawReply,
    raw_connection,
    request_bytes,
)
from tests.support.waiting import wait_until
from tests.web.behind import ACCESS, BEHIND, ENDED, PING, ask, refused
from tests.web.conftest import Place, blob_path
from tests.web.corpus import HOST
from tests.web.proxy_headers import (
    CLIENT,
    CLIENT6,
    LONGEST_TAIL,
    MALFORMED,
    SPEAKS_FOR_ITSELF,
    binary_header,
    text_header,
)
from tests.web.serving import LOOPS, Serving, serving

NAME = "registry.example.com"
STRANGER = "127.0.0.9"


@pytest.fixture(scope="module", params=LOOPS)
def behind(request, module_place) -> Iterator[Serving]:
    """A replica behind front ends at 127.0.0.1 and ::1."""
    upstream = module_place.upstream
    with serving(upstream, loop=request.param, listen=BEHIND, access=ACCESS) as served:
        yield served


@pytest.fixture(scope="module", params=LOOPS)
def secured(request, module_place, authority) -> Iterator[Serving]:
    """The same over TLS, which begins behind the header."""
    files = authority.issue(NAME)
    sections = {
        "listen": {**BEHIND, "names": [NAME]},
        "access": ACCESS,
        "tls": {"certificate": files.certificate, "key": files.key},
    }
    with serving(module_place.upstream, loop=request.param, **sections) as served:
        yield served


def _last_client(served: Serving, lines_before: int) -> str:
    """Give whom the log names for the request after so many lines."""
    lines = wait_until(lambda: served.events("request.answered")[lines_before:], what="a line")
    return lines[-1]["client"]


def _client_of(served: Serving, header: bytes, *fields: tuple[str, str]) -> str:
    lines = len(served.events("request.answered"))
    assert ask(served, header, request_bytes("GET", "/v2/", HOST, *fields)).status == 200
    return _last_client(served, lines)


@pytest.mark.parametrize("write", [text_header, binary_header])
@pytest.mark.parametrize("client", [CLIENT, CLIENT6])
def test_the_header_names_the_client(behind: Serving, write, client: str):
    """C28: the log has the address of the header, of either version and family."""
    assert _client_of(behind, write(client)) == client


@pytest.mark.parametrize("name", SPEAKS_FOR_ITSELF)
def test_a_health_check_is_from_the_front_end(behind: Serving, name: str):
    """LOCAL, UNKNOWN and UNSPEC are served under the address of the connection itself."""
    assert _client_of(behind, SPEAKS_FOR_ITSELF[name]) == HOST


def test_the_header_names_the_peer_whose_forwarding_counts(behind: Serving):
    """C28, T10: X-Forwarded-For is walked from the header's address: a stranger there has no say,
    however trusted the front end that announced it; a trusted proxy there has.
    """
    told = ("X-Forwarded-For", "198.51.100.7")
    assert _client_of(behind, text_header(CLIENT), told) == CLIENT
    assert _client_of(behind, text_header("127.0.0.1"), told) == "198.51.100.7"
    assert _client_of(behind, SPEAKS_FOR_ITSELF["v2 LOCAL"], told) == "198.51.100.7"


def test_a_connection_keeps_its_client(behind: Serving):
    """Every request of one connection is from the client that its header named."""
    lines = len(behind.events("request.answered"))
    with raw_connection(behind.address) as connection:
        connection.send(binary_header(CLIENT) + PING + PING)
        assert [connection.read_reply().status for _ in range(2)] == [200, 200]
    wait_until(lambda: len(behind.events("request.answered")) == lines + 2)
    assert {line["client"] for line in behind.events("request.answered")[lines:]} == {CLIENT}


@pytest.mark.parametrize(
    "header",
    [text_header(CLIENT), binary_header(CLIENT, tail=bytes(LONGEST_TAIL - 12))],
    ids=["v1", "v2 with 64 KiB of TLVs"],
)
def test_a_header_may_come_in_pieces(behind: Serving, header: bytes):
    """Wherever the network cuts a header, the request behind it is answered as it stands."""
    cuts = [1, 5, 12, 15, 16, 20, 28, 60, 4096, len(header) - 1, len(header), len(header) + 3]
    data, at = header + PING, 0
    with raw_connection(behind.address) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in sorted({min(each, len(data)) for each in cuts} | {len(data)}):
            connection.send(data[at:cut])
            at = cut
            time.sleep(0.002)  # a pace, so that pieces arrive as such
        assert connection.read_reply().status == 200


@pytest.mark.parametrize("name", MALFORMED)
def test_what_does_not_begin_with_a_header_gets_nothing(behind: Serving, name: str):
    """C28: a connection without a good header is closed without an answer, and counted."""
    before = refused(behind, "malformed")
    reply = ask(behind, MALFORMED[name])
    assert (reply.status, reply.rest) == (0, b"")
    assert reply.ending in ENDED
    assert refused(behind, "malformed") == before + 1


def test_a_connect_and_close_check_is_no_alarm(behind: Serving):
    """Load balancers that only connect are counted and not logged."""
    before, logged = refused(behind, "left"), len(behind.events("proxy_header.refused"))
    with raw_connection(behind.address):
        pass
    wait_until(lambda: refused(behind, "left") == before + 1, what="counted")
    assert len(behind.events("proxy_header.refused")) == logged


@pytest.mark.parametrize("header", [b"", text_header(CLIENT), binary_header("127.0.0.1")])
def test_only_trusted_front_ends_may_connect(behind: Serving, header: bytes):
    """C28, T10: who isn't in `access.trusted_proxies` gets nothing, with a header or without."""
    before = refused(behind, "untrusted")
    with raw_connection(behind.address, source=STRANGER) as connection:
        with suppress(ConnectionError):  # it may have been closed already
            connection.send(header + PING)
        assert connection.read_reply().status == 0
        assert connection.wait_for_end() in ENDED
    wait_until(lambda: refused(behind, "untrusted") == before + 1, what="counted")


@pytest.mark.parametrize("behind", LOOPS, indirect=True)
def test_large_and_small_bodies_come_whole(behind: Serving, module_place: Place):
    """Behind a header blobs are sent as ever: the first time hashed, then by sendfile."""
    request = request_bytes("GET", blob_path(module_place.layer), HOST)
    for header in (text_header(CLIENT), binary_header(CLIENT6), binary_header(CLIENT)):
        assert ask(behind, header, request).body == module_place.layer.data


def test_ipv6_front_ends_are_served(behind: Serving):
    """The header works on each listener, whatever family the client has."""
    lines = len(behind.events("request.answered"))
    with raw_connection(behind.addresses[1]) as connection:
        connection.send(binary_header(CLIENT) + request_bytes("GET", "/v2/", "[::1]"))
        assert connection.read_reply().status == 200
    assert _last_client(behind, lines) == CLIENT


# --- TLS ------------------------------------------------------------------------------------------


def _over_tls(served: Serving, header: bytes, context: ssl.SSLContext, request: bytes) -> RawReply:
    """Send a header in the clear, then shake hands and ask."""
    host, _, port = served.address.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as plain:
        plain.sendall(header)
        with context.wrap_socket(plain, server_hostname=NAME) as stream:
            connection = RawConnection(stream)
            connection.send(request)
            return connection.read_reply()


@pytest.mark.parametrize("write", [text_header, binary_header])
def test_tls_begins_behind_the_header(secured: Serving, authority, module_place: Place, write):
    """Settled 42: the handshake follows the header; the log has the client, answers come whole."""
    context = authority.client_context()
    lines = len(secured.events("request.answered"))
    ping = request_bytes("GET", "/v2/", NAME)
    assert _over_tls(secured, write(CLIENT), context, ping).status == 200
    assert _last_client(secured, lines) == CLIENT
    pull = request_bytes("GET", blob_path(module_place.layer), NAME)
    assert _over_tls(secured, write(CLIENT), context, pull).body == module_place.layer.data


def test_tls_without_a_header_is_refused(secured: Serving, authority):
    """A client that goes past the front end doesn't get as far as a handshake."""
    before = refused(secured, "malformed")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _over_tls(secured, b"", authority.client_context(), PING)
    assert refused(secured, "malformed") == before + 1


def test_a_header_within_tls_is_refused(secured: Serving, authority):
    """A header that comes encrypted, behind the handshake, is late: it is an HTTP request then."""
    request = text_header(CLIENT6) + request_bytes("GET", "/v2/", NAME)
    reply = _over_tls(secured, text_header(CLIENT), authority.client_context(), request)
    assert reply.status == 400
