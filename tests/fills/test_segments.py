"""A large blob comes in segments over several connections, each byte of it asked for once.

A replica knows that a blob is large from the manifest that names it, as a pull brings it first.
"""

import threading
from collections.abc import Callable

import pytest

from proxy.registry.segments import LONGEST_BYTES
from tests.conftest import Opened
from tests.fills.crowd import pull
from tests.fills.in_process import InProcess, in_process
from tests.fills.large import large_image, tell
from tests.support import images
from tests.support.hostile import (
    BLOBS,
    Cut,
    HostileUpstream,
    IgnoredRange,
    Resized,
    Stall,
    Status,
    WrongByte,
)
from tests.support.hostile.faults import AnswerFault
from tests.support.http1 import Request
from tests.support.layers import Blob
from tests.support.store_tree import visible_blobs
from tests.support.waiting import wait_until

SIZE = 5 * LONGEST_BYTES + 24 * 512
ERRORS_BYTES = 1000


@pytest.fixture(scope="module")
def image() -> images.Manifest:
    return large_image(SIZE)


@pytest.fixture
def told(replica: InProcess, layer: Blob) -> InProcess:
    """A replica that was told by a manifest how large the blob is."""
    tell(replica.url)
    return replica


def starts_at(test: Callable[[int], bool]) -> Callable[[Request], bool]:
    """Match requests for a range whose first byte is one of those."""

    def matches(request: Request) -> bool:
        first = request.fields.get("Range").removeprefix("bytes=").partition("-")[0]
        return first.isdigit() and test(int(first))

    return matches


def asked_spans(upstream: HostileUpstream, path: str) -> list[tuple[int, int]]:
    """Give the parts that were asked for, in order of their first bytes."""
    requests = upstream.requests("GET", path)
    spans = []
    for seen in requests:
        assert seen.status == 206, seen
        first, _, last = seen.fields.get("Range").removeprefix("bytes=").partition("-")
        spans.append((int(first), int(last) + 1 if last else SIZE))
    return sorted(spans)


def check_once(upstream: HostileUpstream, path: str) -> list[tuple[int, int]]:
    """Check that the parts that were asked for make the blob, each byte once."""
    spans = asked_spans(upstream, path)
    position = 0
    for first, stop in spans:
        assert first == position
        position = stop
    assert position == SIZE
    return spans


def test_each_byte_is_asked_for_once(
    upstream: HostileUpstream, told: InProcess, layer: Blob, path: str
) -> None:
    """A large blob comes in bounded parts that make it up, and is kept whole."""
    assert told.client.get(path).expect(200).body == layer.data
    told.wait_idle()
    spans = check_once(upstream, path)
    assert len(spans) >= SIZE // LONGEST_BYTES
    assert max(stop - first for first, stop in spans) <= LONGEST_BYTES
    assert upstream.sent_bytes(BLOBS) == SIZE
    assert layer.digest in visible_blobs(told.store)
    assert told.client.get(path).expect(200).body == layer.data
    assert upstream.sent_bytes(BLOBS) == SIZE


def test_several_connections_are_used_at_once(
    upstream: HostileUpstream, told: InProcess, layer: Blob, path: str
) -> None:
    """While the first segment stalls, others come; followers get it in order all the same."""
    stall = upstream.inject(
        Stall(1000), method="GET", path=BLOBS, where=starts_at(lambda first: first == 0)
    )
    replies: list[bytes] = []
    puller = threading.Thread(target=lambda: replies.append(told.client.get(path).body))
    puller.start()
    stall.wait_fired()
    wait_until(lambda: upstream.sent_bytes(BLOBS) > 3 * LONGEST_BYTES, what="others come")
    assert told.arrived_bytes == 1000
    stall.release()
    puller.join(20)
    assert replies == [layer.data]
    check_once(upstream, path)


def test_one_connection_where_no_more_is_allowed(
    opened: Opened, upstream: HostileUpstream, layer: Blob, path: str
) -> None:
    """With `fill.connections = 1` a blob is asked for once and whole."""
    replica = opened(in_process(upstream.url, fill={"connections": 1}))
    tell(replica.url)
    assert replica.client.get(path).expect(200).body == layer.data
    (seen,) = upstream.requests("GET", path)
    assert "Range" not in seen.fields


@pytest.mark.parametrize("fault", [Cut(100_000), Cut(0), Cut(100_000, reset=True)], ids=str)
@pytest.mark.parametrize("beyond", [0, LONGEST_BYTES], ids=["the first", "others"])
def test_a_segment_that_breaks_goes_on(
    upstream: HostileUpstream,
    told: InProcess,
    layer: Blob,
    path: str,
    fault: AnswerFault,
    beyond: int,
) -> None:
    """C22, F7: what broke off is asked for again from its byte; the others aren't touched."""
    cut = upstream.inject(
        fault, method="GET", path=BLOBS, where=starts_at(lambda first: first >= beyond)
    )
    assert told.client.get(path).expect(200).body == layer.data
    assert cut.fired == 1
    assert upstream.sent_bytes(BLOBS) <= SIZE + 300_000  # what a reset lost in the kernel's buffers
    assert len(upstream.requests("GET", path)) >= 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_primary_that_asks_for_less_gets_less(
    upstream: HostileUpstream, told: InProcess, layer: Blob, path: str, status: int
) -> None:
    """A refusal for now ends that connection alone: the rest comes over fewer, without a pause."""
    busy = upstream.inject(
        Status(status, fields=(("Retry-After", "30"),)),
        method="GET",
        path=BLOBS,
        times=2,
        where=starts_at(lambda first: first > 0),
    )
    assert told.client.get(path).expect(200).body == layer.data
    assert busy.fired >= 1
    assert upstream.sent_bytes(BLOBS) - SIZE < ERRORS_BYTES


def test_a_primary_that_gives_no_parts(
    upstream: HostileUpstream, told: InProcess, layer: Blob, path: str
) -> None:
    """One that ignores Range is asked once: what it sends is all of it."""
    ignored = upstream.inject(IgnoredRange(), method="GET", path=BLOBS, times=None)
    assert told.client.get(path).expect(200).body == layer.data
    assert ignored.fired == 1
    assert upstream.sent_bytes(BLOBS) == SIZE


@pytest.mark.parametrize("at", [0, SIZE // 2, SIZE - 1])
async def test_wrong_bytes_are_never_complete(
    upstream: HostileUpstream, told: InProcess, layer: Blob, path: str, at: int
) -> None:
    """C1: a wrong byte in any segment: nothing complete at the client, nothing in the store."""
    lie = upstream.inject(WrongByte(at), method="GET", path=BLOBS, times=None)
    found = await pull(told.address, path)
    assert lie.fired
    assert not found.is_complete
    told.wait_idle()
    assert layer.digest not in visible_blobs(told.store)
    upstream.heal()
    upstream.forget()
    assert told.client.get(path).expect(200).body == layer.data
    (seen,) = upstream.requests("GET", path)  # settled 22: once from scratch, over one connection
    assert "Range" not in seen.fields


async def test_a_size_that_changes_between_segments(
    upstream: HostileUpstream, told: InProcess, layer: Blob, path: str
) -> None:
    """C1: segments of contents of different sizes are never put together."""
    lie = upstream.inject(
        Resized(100),
        method="GET",
        path=BLOBS,
        times=None,
        where=starts_at(lambda first: first > 0),
    )
    found = await pull(told.address, path)
    assert lie.fired
    assert not found.is_complete
    assert layer.digest not in visible_blobs(told.store)


def test_a_part_of_a_cold_blob_comes_first(
    upstream: HostileUpstream, told: InProcess, layer: Blob, path: str
) -> None:
    """A range of a blob that isn't here is the first that is asked for; the rest follows."""
    first = 4 * LONGEST_BYTES + 1000
    stall = upstream.inject(
        Stall(0), method="GET", path=BLOBS, times=None, where=starts_at(lambda start: start < first)
    )
    part = told.client.get(path, {"Range": f"bytes={first}-{first + 99}"}).expect(206)
    assert part.body == layer.data[first : first + 100]
    stall.release()
    told.wait_idle()
    assert asked_spans(upstream, path)
    assert upstream.requests("GET", path)[0].fields.get("Range").startswith(f"bytes={first}-")
    check_once(upstream, path)
    assert told.client.get(path).expect(200).body == layer.data


def test_a_part_moves_to_the_front_of_a_flight(
    opened: Opened, upstream: HostileUpstream, layer: Blob, path: str
) -> None:
    """A range of a blob that is on its way is the next that is asked for."""
    replica = opened(in_process(upstream.url, fill={"connections": 2}))
    tell(replica.url)
    whole = upstream.inject(
        Stall(1000), method="GET", path=BLOBS, where=starts_at(lambda first: first == 0)
    )
    second = upstream.inject(
        Stall(1000), method="GET", path=BLOBS, where=starts_at(lambda first: first == LONGEST_BYTES)
    )
    results: list[bytes] = []
    puller = threading.Thread(target=lambda: results.append(replica.client.get(path).body))
    puller.start()
    whole.wait_fired()
    second.wait_fired()
    first = 3 * LONGEST_BYTES
    header = {"Range": f"bytes={first}-{first + 99}"}
    reader = threading.Thread(
        target=lambda: results.append(replica.client.get(path, header).expect(206).body)
    )
    reader.start()
    wait_until(lambda: replica.replica._chain.fill.followers == 2, what="the reader waits")
    second.release()
    reader.join(20)
    assert results == [layer.data[first : first + 100]]
    asked = [seen.fields.get("Range") for seen in upstream.requests("GET", path)]
    assert asked[2].startswith(f"bytes={first}-"), asked
    whole.release()
    puller.join(20)
    assert results[1] == layer.data
    check_once(upstream, path)
