"""Parts of a blob that isn't here yet, or not yet known to be right."""

from pathlib import Path

import pytest

from tests.conftest import Opened
from tests.fills.calls import blob_path, causes, get, head
from tests.fills.crowd import pull
from tests.fills.in_process import InProcess, in_process
from tests.support.hostile import BLOBS, HostileUpstream, NoLength, Stall, WrongByte
from tests.support.layers import Blob, random_blob
from tests.support.raw_http import raw_connection, request_bytes
from tests.support.store_tree import blob_path as file_of
from tests.support.waiting import wait_until

SIZE = 1_000_000
TAIL_BYTES = 64 << 10


@pytest.fixture
def content(upstream: HostileUpstream) -> Blob:
    return upstream.contents.add_blob("app", random_blob(SIZE, "parts"))


@pytest.fixture
def path(content: Blob) -> str:
    return blob_path("app", content.digest)


@pytest.fixture
def careful(opened: Opened, upstream: HostileUpstream) -> InProcess:
    """A replica that serves no part unverified."""
    return opened(in_process(upstream.url, fill={"unverified_ranges": False}))


PARTS = [(0, 99), (100_000, 199_999), (SIZE // 2 - 100, SIZE // 2 - 1)]


@pytest.mark.parametrize(("first", "last"), PARTS)
def test_a_part_is_sent_as_soon_as_it_is_here(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str, first: int, last: int
) -> None:
    """Settled 19: a part that the fill has reached is sent complete, though the rest is missing."""
    stall = upstream.inject(Stall(SIZE // 2), method="GET", path=BLOBS)
    reply = replica.client.get(path, {"Range": f"bytes={first}-{last}"}).expect(206)
    assert reply.body == content.data[first : last + 1]
    assert reply.header("Content-Range") == f"bytes {first}-{last}/{SIZE}"
    assert replica.flights == 1
    stall.release()
    replica.wait_idle()
    assert upstream.count("GET", BLOBS) == 1


def test_a_part_within_the_tail(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str
) -> None:
    """Settled 19: a part of the held-back tail that lacks the last byte needn't wait either."""
    stall = upstream.inject(Stall(SIZE - 1), method="GET", path=BLOBS)
    part = f"bytes={SIZE - 1000}-{SIZE - 2}"
    assert replica.client.get(path, {"Range": part}).expect(206).body == content.data[-1000:-1]
    assert replica.flights == 1
    stall.release()


@pytest.mark.parametrize("part", ["bytes=-1000", f"bytes={SIZE - 1000}-", "bytes=0-"])
def test_the_last_byte_waits_for_the_digest(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str, part: str
) -> None:
    """Settled 19: a part that holds the last byte isn't complete before the digest has agreed."""
    stall = upstream.inject(Stall(SIZE - 1), method="GET", path=BLOBS)
    with raw_connection(replica.address, timeout_seconds=1.0) as client:
        client.send(request_bytes("GET", path, replica.address, ("Range", part)))
        stall.wait_fired()
        wait_until(lambda: replica.arrived_bytes == SIZE - 1)
        early = client.read_reply()
        assert not early.is_complete
        assert early.status == 206
        assert len(early.body) <= SIZE - TAIL_BYTES
        client.socket.settimeout(10)
        stall.release()
        rest = b""
        wanted = len(content.data) if part == "bytes=0-" else 1000
        while len(early.body) + len(rest) < wanted:
            rest += client.read(wanted)
    assert early.body + rest == content.data[-wanted:]


@pytest.mark.parametrize("part", ["bytes=-1000", f"bytes={SIZE - 1000}-", "bytes=0-"])
async def test_a_wrong_blob_has_no_last_byte(
    upstream: HostileUpstream, replica: InProcess, path: str, part: str
) -> None:
    """C1: of a blob whose first byte is wrong, no part that holds the last byte is complete."""
    lie = upstream.inject(WrongByte(0), method="GET", path=BLOBS, times=None)
    found = await pull(replica.address, path, {"Range": part})
    assert lie.fired
    assert (found.status, found.is_complete) == (206, False)


async def test_careful_parts_wait_for_the_digest(
    upstream: HostileUpstream, careful: InProcess, content: Blob, path: str
) -> None:
    """Settled 19: with unverified_ranges off, no part of a wrong blob is complete; of a right one
    each is.
    """
    lie = upstream.inject(WrongByte(-1), method="GET", path=BLOBS)
    found = await pull(careful.address, path, {"Range": "bytes=0-99"})
    assert lie.fired == 1
    assert (found.status, found.is_complete) in [(502, True), (206, False)]
    assert content.data[:100] not in found.body
    right = await pull(careful.address, path, {"Range": "bytes=0-99"})
    assert (right.status, right.body) == (206, content.data[:100])


@pytest.mark.parametrize("at", [50, SIZE - 1])
async def test_careful_parts_of_a_damaged_file(
    opened: Opened, upstream: HostileUpstream, store: Path, content: Blob, path: str, at: int
) -> None:
    """C21: with unverified_ranges off, a part of a file that rotted while the replica was off comes
    from the primary within the same request; the file is set aside.
    """
    with in_process(upstream.url, root=store) as before:
        before.client.get(path).expect(200)
        before.wait_idle()
    file = file_of(store, content.digest)
    file.write_bytes(content.data[:at] + bytes([content.data[at] ^ 1]) + content.data[at + 1 :])
    careful = opened(in_process(upstream.url, root=store, fill={"unverified_ranges": False}))
    for _ in range(2):
        found = await pull(careful.address, path, {"Range": "bytes=0-99"})
        assert (found.status, found.body) == (206, content.data[:100])
    assert len(careful.events("store.quarantined")) == 1
    assert upstream.count("GET", path) == 2


def test_a_part_outside(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str
) -> None:
    """A part beyond the end is 416 with the size, cold and warm, and the fill goes on."""
    for _ in range(2):
        reply = replica.client.get(path, {"Range": f"bytes={SIZE}-"}).expect(416)
        assert reply.header("Content-Range") == f"bytes */{SIZE}"
        replica.wait_idle()
    assert upstream.count("GET", path) == 1


def test_an_empty_blob(upstream: HostileUpstream, replica: InProcess) -> None:
    """A blob of no bytes is served and kept like any other."""
    content = upstream.contents.add_blob("app", random_blob(0))
    for _ in range(2):
        reply = replica.client.get(blob_path("app", content.digest)).expect(200)
        assert reply.header("Content-Length") == "0"
        replica.wait_idle()
    assert upstream.count("GET", BLOBS) == 1


@pytest.mark.parametrize("size", [0, 100, SIZE])
def test_a_blob_of_unknown_length(upstream: HostileUpstream, replica: InProcess, size: int) -> None:
    """A blob of which neither GET nor HEAD tells the length is served once it is known."""
    content = upstream.contents.add_blob("app", random_blob(size, "unknown"))
    path = blob_path("app", content.digest)
    unknown = upstream.inject(NoLength(), path=path, times=None)
    with causes(upstream, head(path), get(path), head(path)):
        reply = replica.client.get(path).expect(200)
    assert unknown.fired == 3
    assert reply.body == content.data
    assert reply.header("Content-Length") == str(size)


def test_a_wrong_blob_of_unknown_length(upstream: HostileUpstream, replica: InProcess) -> None:
    """C1: a wrong blob of unknown length is 502, with nothing of it."""
    content = upstream.contents.add_blob("app", random_blob(SIZE, "unknown"))
    path = blob_path("app", content.digest)
    upstream.inject(NoLength(), path=path, times=None)
    lie = upstream.inject(WrongByte(-1), method="GET", path=path, times=None)
    assert content.data[:1000] not in replica.client.get(path).expect(502).body
    assert lie.fired == 1
