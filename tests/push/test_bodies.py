"""Bodies on their way: asked for when they are wanted, taken as fast as the primary takes them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import Opened
from tests.fills.calls import blob_path
from tests.fills.in_process import InProcess, in_process
from tests.push.uploads import OCTETS, START, begin, patch
from tests.support.hostile import (
    UPLOADS,
    Cut,
    Expect,
    HostileUpstream,
    RefuseEarly,
    Status,
    Unread,
)
from tests.support.layers import random_blob
from tests.support.raw_http import Ending, RawConnection, raw_connection, request_bytes
from tests.support.waiting import wait_until

MIB = 1 << 20
BREAKER_FAILURES = 5


@contextmanager
def uploading(
    replica: InProcess, target: str, size: int, *fields: tuple[str, str]
) -> Iterator[RawConnection]:
    """Send the head of a PATCH with *size* bytes to come."""
    length = ("Content-Length", str(size))
    head = request_bytes("PATCH", target, replica.address, *OCTETS.items(), length, *fields)
    with raw_connection(replica.address) as client:
        client.send(head)
        yield client


def push_until_refused(client: RawConnection, size: int) -> int:
    """Send up to *size* bytes while they are taken; give how many were."""
    sent, piece = 0, bytes(64 << 10)
    client.socket.settimeout(1.0)
    try:
        while sent < size:
            sent += client.socket.send(piece[: size - sent])
    except OSError:
        pass
    client.socket.settimeout(10.0)
    return sent


def test_expect_is_asked_of_the_primary(upstream: HostileUpstream, replica: InProcess) -> None:
    """Settled 30: a client that waits for 100 gets it when the primary has asked for the body."""
    target = begin(replica.client)
    with uploading(replica, target, 5, ("Expect", "100-continue")) as client:
        assert client.read(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hello")
        assert client.read_reply().status == 202
    assert upstream.seen[-1].fields.get("Expect") == "100-continue"
    assert upstream.seen[-1].body_bytes == 5


def test_a_refusal_comes_in_place_of_100(upstream: HostileUpstream, replica: InProcess) -> None:
    """C12: what the primary refuses before the body is refused to the client, the body unread."""
    target = begin(replica.client)
    refusal = upstream.inject(RefuseEarly(Status(403)), method="PATCH")
    with uploading(replica, target, 5, ("Expect", "100-continue")) as client:
        reply = client.read_reply()
        assert (reply.status, reply.interim) == (403, ())
        assert client.wait_for_end() is not Ending.KEPT_OPEN
    assert refusal.fired == 1
    assert upstream.seen[-1].body_bytes == 0


def test_a_silent_primary_gets_the_body_of_who_may_push(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """Settled 30: without a 100 within a second the body of a caller who may push goes all the
    same.
    """
    target = begin(replica.client)
    upstream.settings.expect = Expect.SILENT
    started_at = time.monotonic()
    with uploading(replica, target, 5, ("Expect", "100-continue")) as client:
        assert client.read(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert time.monotonic() - started_at >= 0.9
        client.send(b"hello")
        assert client.read_reply().status == 202


@pytest.mark.parametrize("after", [0, 200_000])
def test_a_large_body_is_refused_early(
    upstream: HostileUpstream, replica: InProcess, after: int
) -> None:
    """C12: while 20 MB are being sent the primary refuses: the client can read that, is let in for
    less than a MiB more, and the connection ends.
    """
    target = begin(replica.client)
    refusal = upstream.inject(RefuseEarly(Status(413), after), method="PATCH")
    with uploading(replica, target, 20 * MIB) as client:
        push_until_refused(client, 20 * MIB)
        reply = client.read_reply()
        assert reply.status == 413
        assert client.wait_for_end(5) is not Ending.KEPT_OPEN
    assert refusal.fired == 1
    assert after <= upstream.seen[-1].body_bytes <= after + MIB
    assert relayed_bytes(replica) < 10 * MIB  # what sockets hold, and not the whole


def relayed_bytes(replica: InProcess) -> int:
    (event,) = [each for each in replica.events("push.relayed") if each["method"] == "PATCH"]
    return int(event["bytes"])


def test_a_primary_that_never_reads_is_given_up(opened: Opened, upstream: HostileUpstream) -> None:
    """Every wait has an end: a body that the primary doesn't take is given up: 503."""
    times = {"listen": {"write_timeout": 1.0}, "primary": {"read_timeout": 1.0}}
    replica = opened(in_process(upstream.url, **times))
    target = begin(replica.client)
    unread = upstream.inject(Unread(0), method="PATCH")
    with uploading(replica, target, 20 * MIB) as client:
        push_until_refused(client, 20 * MIB)
        assert client.read_reply().status == 503
    assert unread.fired == 1


def test_clients_that_leave_dont_count_against_the_primary(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """F9: uploads that clients break off end there, and open no breaker: the primary is well."""
    content = upstream.contents.add_blob("app", random_blob(1000))
    for _ in range(BREAKER_FAILURES + 1):
        target = begin(replica.client)
        upstream.forget()
        with uploading(replica, target, 10 * MIB) as client:
            client.send(bytes(100_000))
            wait_until(lambda: upstream.seen and upstream.seen[-1].body_bytes > 0)
            client.reset()
        wait_until(lambda: replica.replica._gate.in_flight == 0)
    assert replica.metrics().value("proxima_breakers", state="open") == 0
    replica.client.get(blob_path("app", content.digest)).expect(200)


def test_a_client_that_stalls_is_given_up(opened: Opened, upstream: HostileUpstream) -> None:
    """F22: a client that sends no byte of its body for `write_timeout` is let go."""
    replica = opened(in_process(upstream.url, listen={"write_timeout": 0.5}))
    target = begin(replica.client)
    with uploading(replica, target, 1000) as client:
        client.send(b"some")
        assert client.wait_for_end(5) is not Ending.KEPT_OPEN
    wait_until(lambda: replica.replica._gate.in_flight == 0)
    assert replica.metrics().value("proxima_breakers", state="open") == 0


@pytest.mark.parametrize("at", [-1, 0])
def test_a_write_is_never_sent_twice(
    upstream: HostileUpstream, replica: InProcess, at: int
) -> None:
    """A write whose answer is lost is 503, and wasn't repeated: the client knows what to do."""
    target = begin(replica.client)
    lost = upstream.inject(Cut(at), method="PATCH", path=UPLOADS)
    reply = patch(replica.client, target, b"hello")
    assert lost.fired == 1
    assert reply.status == (503 if at == -1 else 202)
    assert upstream.count("PATCH") == 1


def test_a_primary_that_is_down(upstream: HostileUpstream, replica: InProcess) -> None:
    """F11: writes in an outage are 503 with Retry-After, at once, and no body is asked for."""
    target = begin(replica.client)
    upstream.cut()
    started_at = time.monotonic()
    with uploading(replica, target, 20 * MIB, ("Expect", "100-continue")) as client:
        reply = client.read_reply()
    assert (reply.status, reply.interim) == (503, ())
    assert reply.header("Retry-After")
    assert replica.client.request("POST", START).expect(503).header("Retry-After")
    assert time.monotonic() - started_at < 5.0
