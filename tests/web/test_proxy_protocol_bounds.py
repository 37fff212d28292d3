"""Bounds of connections behind the PROXY protocol: in time, in number, in what they cost others."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.raw_http import raw_connection
from tests.support.waiting import wait_until
from tests.web.behind import ACCESS, BEHIND, ENDED, PING, ask, refused
from tests.web.conftest import Place
from tests.web.corpus import HOST
from tests.web.proxy_headers import CLIENT, CLIENT6, binary_header, text_header
from tests.web.serving import LOOPS, Serving, serving

HASTY = {**BEHIND, "header_timeout": "500ms"}
PATIENT = {**BEHIND, "header_timeout": "1m"}
MANY = 200


@pytest.fixture(scope="module", params=LOOPS)
def hasty(request, module_place) -> Iterator[Serving]:
    """The same with little patience."""
    upstream = module_place.upstream
    with serving(upstream, loop=request.param, listen=HASTY, access=ACCESS) as served:
        yield served


@pytest.mark.parametrize("sent", [b"", b"PROXY TCP4 1.2", binary_header(CLIENT)[:20]])
def test_a_header_that_comes_late_is_cut(hasty: Serving, sent: bytes):
    """A header has `header_timeout`, whole or not at all; then the connection is closed."""
    before = refused(hasty, "late")
    with raw_connection(hasty.address) as connection:
        started_at = time.monotonic()
        connection.send(sent)
        assert connection.wait_for_end(5) in ENDED
        assert 0.3 < time.monotonic() - started_at < 3
    assert refused(hasty, "late") == before + 1


def test_a_tail_that_never_ends_is_cut(hasty: Serving):
    """The time holds for the whole header, TLVs too."""
    before = refused(hasty, "late")
    with raw_connection(hasty.address) as connection:
        connection.send(binary_header(CLIENT, tail=bytes(1000))[:-1])
        assert connection.wait_for_end(5) in ENDED
    assert refused(hasty, "late") == before + 1


def test_refusals_are_logged_at_a_bounded_rate(module_place):
    """A flood of bad connections makes one line in ten seconds, which names reason and peer."""
    with serving(module_place.upstream, listen=BEHIND, access=ACCESS) as served:
        for _ in range(20):
            ask(served, b"GET / HTTP/1.1\r\n\r\n", b"")
        assert refused(served, "malformed") == 20
        (line,) = served.events("proxy_header.refused")
    assert (line["peer"], line["reason"], line["level"]) == (HOST, "malformed", "warning")


@pytest.mark.parametrize("loop", LOOPS)
def test_headers_that_wait_hold_nobody_up(place: Place, loop: str):
    """A hundred connections that say nothing delay none that speaks: nothing blocks meanwhile."""
    with (
        serving(place.upstream, loop=loop, listen=PATIENT, access=ACCESS) as served,
        ExitStack() as stack,
    ):
        for _ in range(100):
            stack.enter_context(raw_connection(served.address)).send(b"PROXY")
        started_at = time.monotonic()
        for _ in range(5):
            assert ask(served, text_header(CLIENT)).status == 200
        assert time.monotonic() - started_at < 30  # of the minute in which they all wait


@pytest.mark.parametrize("loop", LOOPS)
def test_many_headers_come_late_and_all_are_served(place: Place, loop: str):
    """C26: descriptors go from waiting for a header to serving, and round again, and none stays."""
    with serving(place.upstream, loop=loop, listen=PATIENT, access=ACCESS) as served:
        before = _descriptors()
        for header in (text_header(CLIENT), binary_header(CLIENT6), binary_header(CLIENT)):
            with ExitStack() as stack:
                clients = [stack.enter_context(raw_connection(served.address)) for _ in range(MANY)]
                for client in clients:
                    client.send(header[:7])
                for client in clients[::-1]:
                    client.send(header[7:] + PING)
                assert [client.read_reply().status for client in clients] == [200] * MANY
            for _ in range(20):
                assert ask(served, b"NO HEADER", b"").status == 0
        wait_until(lambda: _descriptors() < before + MANY / 10, what="descriptors are given back")


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("loop", LOOPS)
def test_connections_that_open_count(place: Place, loop: str):
    """C26: those whose header hasn't come count among `max_connections`."""
    listen = {**PATIENT, "max_connections": 4}
    with serving(place.upstream, loop=loop, listen=listen, access=ACCESS) as served:
        with ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(raw_connection(served.address)).send(b"PROXY")
            reply = ask(served, text_header(CLIENT))
            assert reply.status == 0
        wait_until(lambda: ask(served, text_header(CLIENT)).status == 200, what="room again")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_drain_does_not_wait_for_headers(place: Place, loop: str):
    """C25: connections whose header hasn't come end with the replica."""
    listen = {**PATIENT, "drain_limit": "30s"}
    with (
        serving(place.upstream, loop=loop, listen=listen, access=ACCESS) as served,
        raw_connection(served.address) as connection,
    ):
        connection.send(b"PROXY TCP4")
        assert ask(served, text_header(CLIENT)).status == 200
        started_at = time.monotonic()
        served.stop()
        assert time.monotonic() - started_at < 5
        assert connection.wait_for_end(2) in ENDED
