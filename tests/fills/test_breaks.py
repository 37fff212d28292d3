"""A link that breaks, stalls or drips: the fill goes on from the very byte, elsewhere if it can."""

import pytest

from config import Address
from proxy.registry import breaks
from tests.conftest import Opened
from tests.fills.calls import blob_path, call, causes, get, head
from tests.fills.in_process import InProcess, in_process
from tests.support.hostile import (
    BLOBS,
    Cut,
    Header,
    HostileUpstream,
    IgnoredRange,
    Raw,
    Resized,
    Slow,
    Stall,
    Status,
    hostile_upstream,
)
from tests.support.hostile.faults import AnswerFault
from tests.support.http1 import Request, encode_chunk
from tests.support.layers import Blob, random_blob
from tests.support.raw_http import exchange, raw_connection, request_bytes
from tests.support.store_tree import visible_blobs
from tests.support.waiting import wait_until

SIZE = 1_000_000


@pytest.fixture
def content(upstream: HostileUpstream) -> Blob:
    return upstream.contents.add_blob("app", random_blob(SIZE, "breaks"))


@pytest.fixture
def path(content: Blob) -> str:
    return blob_path("app", content.digest)


def is_ranged(request: Request) -> bool:
    return "Range" in request.fields


@pytest.mark.parametrize("at", [1, SIZE // 2, SIZE * 99 // 100])
def test_resumes_at_the_byte(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str, at: int
) -> None:
    """C22, F7: a fill cut at 1 byte, 50 % and 99 % goes on there; no byte is requested twice."""
    cut = upstream.inject(Cut(at), method="GET", path=BLOBS)
    with causes(upstream, head(path), get(path), get(path, 206, f"bytes={at}-")):
        assert replica.client.get(path).expect(200).body == content.data
    assert cut.fired == 1
    assert upstream.sent_bytes(BLOBS) == SIZE


def test_begins_again_at_the_first_byte(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str
) -> None:
    """C22, F7: a fill cut before its first byte is asked for again, whole."""
    cut = upstream.inject(Cut(0), method="GET", path=BLOBS)
    with causes(upstream, head(path), get(path), get(path)):
        assert replica.client.get(path).expect(200).body == content.data
    assert cut.fired == 1


@pytest.mark.parametrize("at", [SIZE // 2, SIZE * 99 // 100])
def test_resumes_after_a_reset(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str, at: int
) -> None:
    """C22, F7: a fill whose connection is reset goes on from what is here."""
    cut = upstream.inject(Cut(at, reset=True), method="GET", path=BLOBS)
    stall = upstream.inject(Stall(at - 1), method="GET", path=BLOBS)
    with raw_connection(replica.address) as client:
        client.send(request_bytes("GET", path, replica.address))
        stall.wait_fired()
        wait_until(lambda: replica.arrived_bytes == at - 1)
        stall.release()
        assert client.read_reply().body == content.data
    assert cut.fired == 1
    assert call(upstream.seen[-1]) in [get(path, 206, f"bytes={start}-") for start in (at - 1, at)]
    assert upstream.sent_bytes(BLOBS) <= SIZE + 1


def test_resumes_on_the_next_address(
    opened: Opened, upstream: HostileUpstream, content: Blob, path: str
) -> None:
    """F7: a fill that breaks on one address of the private link goes on at the next."""
    other = opened(hostile_upstream(contents=upstream.contents))
    addresses = tuple(Address(each.listener.host, each.listener.port) for each in (upstream, other))
    replica = opened(in_process(upstream.url, primary={"connect_to": addresses}))
    cut = upstream.inject(Cut(SIZE // 2), method="GET", path=BLOBS)
    rest = get(path, 206, f"bytes={SIZE // 2}-")
    with causes(other, rest), causes(upstream, head(path), get(path)):
        assert replica.client.get(path).expect(200).body == content.data
    assert cut.fired == 1
    assert other.seen[0].fields.get("Host") == upstream.address


def test_a_stalled_link_is_given_up(
    opened: Opened, upstream: HostileUpstream, content: Blob, path: str
) -> None:
    """F10: a link that says nothing for `read_timeout` is given up, and the fill goes on."""
    replica = opened(in_process(upstream.url, primary={"read_timeout": 1.0}))
    stall = upstream.inject(Stall(SIZE // 2), method="GET", path=BLOBS)
    with causes(upstream, head(path), get(path), get(path, 206, f"bytes={SIZE // 2}-")):
        assert replica.client.get(path).expect(200).body == content.data
    assert stall.fired == 1


def test_a_dripping_link_is_given_up(
    opened: Opened, upstream: HostileUpstream, content: Blob, path: str
) -> None:
    """C22, F10: a link below `minimum_rate` over `rate_window` is given up, though bytes come."""
    slow = {"read_timeout": 30.0, "minimum_rate": 100_000, "rate_window": 0.3}
    replica = opened(in_process(upstream.url, primary=slow))
    drip = upstream.inject(Slow(100, 0.01), method="GET", path=BLOBS)
    assert replica.client.get(path).expect(200).body == content.data
    assert drip.fired == 1
    first, second = upstream.requests("GET", BLOBS)
    assert 0 < first.sent_bytes < SIZE // 10
    assert 0 < int(second.fields.get("Range").removeprefix("bytes=").rstrip("-")) < SIZE // 10


def test_gives_up_after_some_breaks(
    upstream: HostileUpstream, replica: InProcess, path: str
) -> None:
    """F7: three resumes without progress, then the client's connection ends before the end."""
    cut = upstream.inject(Cut(100), method="GET", path=BLOBS, times=None)
    resumes = [get(path, 206, f"bytes={offset}-") for offset in (100, 200, 300)]
    with causes(upstream, head(path), get(path), *resumes):
        reply = exchange(replica.address, request_bytes("GET", path, replica.address))
        replica.wait_idle()
    assert cut.fired == 4
    assert not reply.is_complete
    assert visible_blobs(replica.store) == {}


def test_progress_allows_more_breaks(
    upstream: HostileUpstream,
    replica: InProcess,
    content: Blob,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F7: breaks with progress between them may be many."""
    monkeypatch.setattr(breaks, "PROGRESS_BYTES", 100_000)
    cut = upstream.inject(Cut(150_000), method="GET", path=BLOBS, times=None)
    assert replica.client.get(path).expect(200).body == content.data
    assert cut.fired == 7
    assert upstream.sent_bytes(BLOBS) == SIZE


def test_a_link_that_ignores_ranges(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str
) -> None:
    """C1: a resume that is answered with everything is right all the same."""
    cut = upstream.inject(Cut(SIZE // 2), method="GET", path=BLOBS)
    ignored = upstream.inject(IgnoredRange(), method="GET", path=BLOBS, where=is_ranged)
    with causes(upstream, head(path), get(path), get(path, 200, f"bytes={SIZE // 2}-")):
        assert replica.client.get(path).expect(200).body == content.data
    assert (cut.fired, ignored.fired) == (1, 1)


@pytest.mark.parametrize(
    "lie",
    [
        Header("Content-Range", f"bytes 0-{SIZE // 2 - 1}/{SIZE}"),
        Header("Content-Range", f"bytes {SIZE // 2 + 1}-{SIZE}/{SIZE + 1}"),
        Header("Content-Range", "bytes */*"),
        Header("Content-Range", None),
        Resized(-1),
        Status(404),
        Status(416),
    ],
    ids=lambda lie: str(getattr(lie, "value", lie)),
)
def test_a_resume_that_lies(
    upstream: HostileUpstream, replica: InProcess, path: str, lie: AnswerFault
) -> None:
    """C1: a resume that is answered with another part, or not, is never made into a whole."""
    cut = upstream.inject(Cut(SIZE // 2), method="GET", path=BLOBS)
    lying = upstream.inject(lie, method="GET", path=BLOBS, where=is_ranged, times=None)
    reply = exchange(replica.address, request_bytes("GET", path, replica.address))
    assert (reply.status, reply.is_complete) == (200, False)
    assert cut.fired == 1
    assert lying.fired
    replica.wait_idle()
    assert visible_blobs(replica.store) == {}


def test_a_last_chunk_that_never_comes(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str
) -> None:
    """A chunked blob that breaks after its last byte is whole: nothing more is asked for."""
    head_lines = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    unended = upstream.inject(Raw(head_lines + encode_chunk(content.data)), method="GET")
    assert replica.client.get(path).expect(200).body == content.data
    assert unended.fired == 1
    assert upstream.count("GET", path) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_resume_waits_as_it_is_told(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str, status: int
) -> None:
    """A resume that gets 429 or 503 with Retry-After is tried again after that time."""
    upstream.inject(Cut(SIZE // 2), method="GET", path=BLOBS)
    wait = Status(status, fields=(("Retry-After", "1"),))
    told = upstream.inject(wait, method="GET", path=BLOBS, where=is_ranged)
    assert replica.client.get(path).expect(200).body == content.data
    assert told.fired == 1
    refused, resumed = upstream.requests("GET", BLOBS)[-2:]
    assert resumed.at_seconds - refused.at_seconds >= 1.0
