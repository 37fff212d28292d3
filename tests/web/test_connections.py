"""Connections have bounds: for headers, for idling, in number, and for readers that don't read."""

import contextlib
import ssl
import time
from collections.abc import Iterator

import pytest

from tests.support import images
from tests.support.layers import random_blob
from tests.support.raw_http import Ending, RawConnection, raw_connection, request_bytes
from tests.support.waiting import wait_until
from tests.web.conftest import REPOSITORY, Place, blob_path
from tests.web.corpus import HOST
from tests.web.serving import LOOPS, Serving, serving

HEADER_SECONDS = 0.3
IDLE_SECONDS = 0.5
PING = request_bytes("GET", "/v2/", HOST)


@pytest.fixture(scope="module", params=LOOPS)
def hasty(request, module_place) -> Iterator[Serving]:
    """A replica with little patience."""
    listen = {"header_timeout": "300ms", "idle_timeout": "500ms", "max_connections": 8}
    with serving(module_place.upstream, loop=request.param, listen=listen) as served:
        yield served


def _drip(connection: RawConnection, data: bytes, every_seconds: float) -> float:
    """Send byte after byte until the peer ends the connection; give after how many seconds."""
    started_at = time.monotonic()
    for i in range(len(data)):
        with contextlib.suppress(OSError):
            connection.send(data[i : i + 1])
        if connection.wait_for_end(every_seconds) is not Ending.KEPT_OPEN:
            return time.monotonic() - started_at
    raise AssertionError("everything was taken")


def test_a_header_that_comes_slowly_is_cut(hasty: Serving):
    """C12: a header byte by byte lasts no longer than `header_timeout`, however steady it is."""
    with raw_connection(hasty.address) as connection:
        seconds = _drip(connection, PING[:-1] * 9, 0.05)
    assert HEADER_SECONDS - 0.1 <= seconds < HEADER_SECONDS + 1


def test_a_second_header_that_comes_slowly_is_cut_as_well(hasty: Serving):
    """C12: the bound holds for each request of a connection."""
    with raw_connection(hasty.address) as connection:
        for _ in range(2):
            connection.send(PING)
            assert connection.read_reply().status == 200
        seconds = _drip(connection, PING[:-1] * 9, 0.05)
    assert HEADER_SECONDS - 0.1 <= seconds < HEADER_SECONDS + 1


def test_half_a_header_behind_a_request_is_cut(hasty: Serving):
    """C12: also the start of a header that came along with the request before."""
    with raw_connection(hasty.address) as connection:
        connection.send(PING + PING[:9])
        assert connection.read_reply().status == 200
        started_at = time.monotonic()
        assert connection.wait_for_end() is not Ending.KEPT_OPEN
    assert time.monotonic() - started_at < IDLE_SECONDS + 1


@pytest.mark.parametrize("first", [b"", PING])
def test_an_idle_connection_is_closed(hasty: Serving, first: bytes):
    """A connection without a request ends after `idle_timeout`, one that never had one sooner."""
    with raw_connection(hasty.address) as connection:
        connection.send(first)
        if first:
            assert connection.read_reply().status == 200
        started_at = time.monotonic()
        assert connection.wait_for_end() is Ending.CLOSED
        seconds = time.monotonic() - started_at
    allowed = IDLE_SECONDS if first else HEADER_SECONDS
    assert allowed - 0.1 <= seconds < allowed + 1


def test_a_connection_in_use_is_kept(hasty: Serving):
    """Requests within `idle_timeout` of each other keep a connection, for as long as they come."""
    started_at = time.monotonic()
    with raw_connection(hasty.address) as connection:
        while time.monotonic() - started_at < 2 * IDLE_SECONDS:
            connection.send(PING)
            assert connection.read_reply().status == 200
            assert connection.wait_for_end(0.1) is Ending.KEPT_OPEN


def test_connections_are_bounded_in_number(hasty: Serving):
    """Beyond `max_connections` a new one is ended at once, the others are served, and it heals."""
    wait_until(lambda: not _open_connections(hasty))
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(raw_connection(hasty.address)) for _ in range(8)]
        for connection in held:
            connection.send(PING)
            assert connection.read_reply().status == 200
        with raw_connection(hasty.address) as one_too_many:
            assert one_too_many.wait_for_end(5) is not Ending.KEPT_OPEN
        held[0].send(PING)
        assert held[0].read_reply().status == 200
    wait_until(lambda: _is_served(hasty), what="a new connection is served")


def _is_served(served: Serving) -> bool:
    with raw_connection(served.address) as connection:
        with contextlib.suppress(OSError):
            connection.send(PING)
        return connection.read_reply().status == 200


@pytest.mark.parametrize("loop", LOOPS)
def test_a_tls_handshake_that_never_ends_is_cut(place: Place, authority, loop: str):
    """C12: `header_timeout` bounds the handshake too, before there is any HTTP."""
    files = authority.issue(HOST)
    tls = {"certificate": files.certificate, "key": files.key}
    listen = {"header_timeout": "300ms"}
    with serving(place.upstream, loop=loop, tls=tls, listen=listen) as served:
        with raw_connection(served.address) as connection:
            connection.send(b"\x16\x03\x01")
            started_at = time.monotonic()
            assert connection.wait_for_end() is not Ending.KEPT_OPEN
        assert time.monotonic() - started_at < HEADER_SECONDS + 1


# --- readers that don't read ---

WRITE_SECONDS = 0.4
PIPELINED = 20


@pytest.fixture(params=[f"{loop}-{way}" for loop in LOOPS for way in ("plain", "tls")])
def impatient(request, module_place, authority) -> Iterator[tuple[Serving, ssl.SSLContext | None]]:
    """A replica that cuts stalled readers soon."""
    loop, _, way = request.param.partition("-")
    sections = {"listen": {"write_timeout": "400ms"}}
    if way == "tls":
        files = authority.issue(HOST)
        sections["tls"] = {"certificate": files.certificate, "key": files.key}
    with serving(module_place.upstream, loop=loop, **sections) as served:
        yield served, authority.client_context() if way == "tls" else None


@pytest.mark.parametrize("kind", ["manifest", "large blob", "growing blob"])
def test_a_client_that_takes_nothing_is_cut(place: Place, impatient, kind: str):
    """F22: whatever is sent, a client that takes no byte for `write_timeout` is cut off."""
    served, tls = impatient
    large = place.add(random_blob(24 << 20, "never read"))
    target = long_manifest(place) if kind == "manifest" else blob_path(large)
    if kind == "large blob":
        with raw_connection(served.address, tls=tls) as connection:
            connection.send(request_bytes("GET", target, HOST))
            assert connection.read_reply().body == large.data
    with raw_connection(served.address, tls=tls, receive_buffer_bytes=4096) as connection:
        # Whole answers that nobody reads fill the buffers on both sides.
        pulls = PIPELINED if kind == "manifest" else 1
        connection.socket.settimeout(WRITE_SECONDS / 5)
        with contextlib.suppress(TimeoutError, OSError):
            connection.send(request_bytes("GET", target, HOST) * pulls)
        wait_until(lambda: _open_connections(served), what="the connection is there")
        wait_until(lambda: not _open_connections(served), 5, "the connection is gone")


def long_manifest(place: Place) -> str:
    """Give the path of a manifest of two MiB."""
    image = images.oci_image("long", annotations={"text": 2 * "a" * (1 << 20)})
    place.upstream.contents.add(REPOSITORY, image, "long")
    return f"/v2/{REPOSITORY}/manifests/long"


def _open_connections(served: Serving) -> int:
    server = served.replica._server
    return len(server.connections)


def test_a_slow_reader_is_not_cut(place: Place, impatient):
    """F22: one that takes a little within each `write_timeout` gets everything."""
    served, tls = impatient
    content = place.add(random_blob(6 << 20, "slowly read"))
    with raw_connection(served.address, tls=tls, receive_buffer_bytes=4096) as connection:
        connection.send(request_bytes("GET", blob_path(content), HOST))
        data, started_at = bytearray(), time.monotonic()
        while time.monotonic() - started_at < 3 * WRITE_SECONDS:
            data += connection.read(256 << 10)
            time.sleep(WRITE_SECONDS / 5)  # the pace under test
        connection.socket.settimeout(10)
        while piece := connection.read(1 << 20):
            data += piece
            if data.endswith(content.data[-100:]):
                break
    assert bytes(data).endswith(content.data)


def test_an_answer_to_a_client_that_left_frees_the_connection(place: Place, impatient):
    """F22: an answer that waits in the buffer of a closing connection doesn't hold it forever."""
    served, tls = impatient
    with raw_connection(served.address, tls=tls, receive_buffer_bytes=4096) as connection:
        target = long_manifest(place)
        closing = request_bytes("GET", target, HOST, ("Connection", "close"))
        connection.send(request_bytes("GET", target, HOST) * 5 + closing)
        wait_until(lambda: _open_connections(served), what="the connection is there")
        wait_until(lambda: not _open_connections(served), 5, "the connection is gone")
