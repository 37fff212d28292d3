"""A store that can't take anything: pulls pass through, verified, and bounded in number."""

import shutil
from collections.abc import Callable

import pytest

from tests.conftest import Opened
from tests.fills.calls import blob_path, causes, get, head, manifest_path
from tests.fills.crowd import pull
from tests.fills.in_process import InProcess, in_process
from tests.support.hostile import (
    BLOBS,
    Cut,
    HostileUpstream,
    NoLength,
    OtherBody,
    Resized,
    Stall,
    WrongByte,
)
from tests.support.hostile.faults import AnswerFault
from tests.support.images import oci_image
from tests.support.layers import Blob, random_blob
from tests.support.raw_http import raw_connection, request_bytes
from tests.support.store_tree import visible_blobs

SIZE = 300_000

Start = Callable[..., InProcess]


@pytest.fixture
def start(opened: Opened, upstream: HostileUpstream) -> Start:
    """Gives a function that starts a replica whose spool folder is gone: nothing can be written."""

    def started(**fill: object) -> InProcess:
        replica = opened(in_process(upstream.url, fill=fill))
        spool = replica.replica._chain.store.tree.layout.spool
        shutil.rmtree(spool)
        opened(_Restored(spool.mkdir))
        return replica

    return started


class _Restored:
    def __init__(self, restore: Callable[[], None]) -> None:
        self._restore = restore

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._restore()


@pytest.fixture
def content(upstream: HostileUpstream) -> Blob:
    return upstream.contents.add_blob("app", random_blob(SIZE, "passing"))


@pytest.fixture
def path(content: Blob) -> str:
    return blob_path("app", content.digest)


def test_content_passes_through(
    upstream: HostileUpstream, start: Start, content: Blob, path: str
) -> None:
    """Do no harm: what can't be kept is served all the same, byte for byte, and nothing is kept."""
    replica = start()
    image = upstream.contents.add("app", oci_image(), "v1")
    for _ in range(2):
        assert replica.client.get(path).expect(200).body == content.data
        assert replica.client.get(manifest_path("app", "v1")).expect(200).body == image.data
    assert visible_blobs(replica.store) == {}


LIES: tuple[AnswerFault, ...] = (
    WrongByte(0),
    WrongByte(-1),
    Resized(+10),
    Resized(-10),
    OtherBody(b""),
    Cut(SIZE // 2),
)


@pytest.mark.parametrize("part", [None, "bytes=-1000", f"bytes=1000-{SIZE - 1}", "bytes=1000-"])
@pytest.mark.parametrize("lie", LIES, ids=str)
async def test_lies_are_never_complete(
    upstream: HostileUpstream, start: Start, path: str, lie: AnswerFault, part: str | None
) -> None:
    """C1: what passes through and is wrong is never complete, nor is a part with the last byte."""
    replica = start()
    lying = upstream.inject(lie, method="GET", path=BLOBS, times=None)
    found = await pull(replica.address, path, {"Range": part} if part else {})
    assert lying.fired
    assert not found.is_complete or found.status in (416, 502, 503)


def test_a_part_in_the_middle(
    upstream: HostileUpstream, start: Start, content: Blob, path: str
) -> None:
    """A part without the last byte costs the link just that part."""
    replica = start()
    asked = "bytes=1000-1999"
    # the flight that finds no room is the first GET
    with causes(upstream, head(path), get(path), get(path, 206, asked)):
        reply = replica.client.get(path, {"Range": asked}).expect(206)
    assert reply.body == content.data[1000:2000]


@pytest.mark.parametrize("asked", ["bytes=-1000", f"bytes={SIZE - 1000}-"])
def test_a_part_at_the_end(
    upstream: HostileUpstream, start: Start, content: Blob, path: str, asked: str
) -> None:
    """Settled 19: a part with the last byte is right, and was checked with all the rest."""
    replica = start()
    with causes(upstream, head(path), get(path), get(path)):
        reply = replica.client.get(path, {"Range": asked}).expect(206)
    assert reply.body == content.data[-1000:]


async def test_careful_parts(
    upstream: HostileUpstream, start: Start, content: Blob, path: str
) -> None:
    """Settled 19: with unverified_ranges off, a part is complete only if all of it is right."""
    replica = start(unverified_ranges=False)
    lie = upstream.inject(WrongByte(-1), method="GET", path=BLOBS, times=None)
    wrong = await pull(replica.address, path, {"Range": "bytes=0-99"})
    assert lie.fired
    assert not wrong.is_complete
    upstream.heal()
    right = await pull(replica.address, path, {"Range": "bytes=0-99"})
    assert (right.status, right.body) == (206, content.data[:100])


def test_a_blob_of_unknown_length(upstream: HostileUpstream, start: Start, path: str) -> None:
    """A blob of unknown length can't pass a store that takes nothing: 502."""
    replica = start()
    unknown = upstream.inject(NoLength(), path=path, times=None)
    replica.client.get(path).expect(502)
    assert unknown.fired


def test_the_number_is_bounded(
    upstream: HostileUpstream, start: Start, content: Blob, path: str
) -> None:
    """Settled 23: one more than `max_uncached` at once is 503; when one ends there is room."""
    replica = start(max_uncached=1)
    stall = upstream.inject(Stall(1000), method="GET", path=BLOBS, skip=1)
    with raw_connection(replica.address) as first:
        first.send(request_bytes("GET", path, replica.address))
        stall.wait_fired()
        assert replica.client.get(path).expect(503).header("Retry-After")
        stall.release()
        assert first.read_reply().body == content.data
    assert replica.client.get(path).expect(200).body == content.data


def test_answers_without_a_body_take_no_room(
    upstream: HostileUpstream, start: Start, content: Blob, path: str
) -> None:
    """A 304 or 416 in place of the body gives its room back."""
    replica = start(max_uncached=1)
    for _ in range(3):
        replica.client.get(path, {"If-None-Match": f'"{content.digest}"'}).expect(304)
        replica.client.get(path, {"Range": f"bytes={SIZE}-"}).expect(416)
    assert replica.client.get(path).expect(200).body == content.data
