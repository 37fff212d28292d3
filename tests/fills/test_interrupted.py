"""Fills that were interrupted go on where they were, in the same process or the next."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.registry.interrupted import WORTH_KEEPING_BYTES
from proxy.registry.spool import SYNC_EVERY_BYTES
from tests.conftest import Opened
from tests.fills.crowd import pull
from tests.fills.large import large_image, tell
from tests.support import images
from tests.support.hostile import BLOBS, Answer, Fault, HostileUpstream, IgnoredRange, Stall
from tests.support.hostile.faults import AnswerFault
from tests.support.http1 import Request
from tests.support.layers import Blob
from tests.support.raw_http import RawConnection, raw_connection, request_bytes
from tests.support.registry_client import RegistryClient
from tests.support.replica import Replica, replica
from tests.support.store_tree import visible_blobs
from tests.support.waiting import wait_until

SIZE = 2 * SYNC_EVERY_BYTES + 24 * 512
FAR = SYNC_EVERY_BYTES + SYNC_EVERY_BYTES // 2
"""Where the link stalls: one mark was written by then, and much came after it."""


@pytest.fixture(scope="module")
def image() -> images.Manifest:
    return large_image(SIZE)


@pytest.fixture(params=[1, 16], ids=["one connection", "segments"])
def running(
    request: pytest.FixtureRequest, opened: Opened, upstream: HostileUpstream, layer: Blob
) -> Replica:
    fill = {"connections": request.param}
    started = opened(replica(upstream.url, fill=fill, listen={"drain_limit": "1s"}))
    tell(started.url)
    return started


def spooled(one: Replica) -> list[Path]:
    return sorted((one.store / "spool").iterdir())


@pytest.fixture
def follower(running: Replica) -> Iterator[RawConnection]:
    with raw_connection(running.address) as client:
        yield client


def reach(upstream: HostileUpstream, running: Replica, follower: RawConnection, path: str) -> Fault:
    """Let a fill come far, and stall there."""

    def is_far(request: Request) -> bool:
        return int(request.fields.get("Range").removeprefix("bytes=").partition("-")[0]) >= FAR

    if running.settings.get("fill") == {"connections": 1}:
        stall = upstream.inject(Stall(FAR), method="GET", path=BLOBS)
    else:
        stall = upstream.inject(Stall(1000), method="GET", path=BLOBS, times=None, where=is_far)
    follower.send(request_bytes("GET", path, running.address))
    stall.wait_fired()
    wait_until(lambda: upstream.sent_bytes(BLOBS) >= FAR, what="much came")
    wait_until(lambda: any(each.suffix == ".mark" for each in spooled(running)), what="a mark")
    return stall


def test_a_fill_goes_on_after_kill(
    upstream: HostileUpstream, running: Replica, follower: RawConnection, layer: Blob, path: str
) -> None:
    """C2: killed in the middle, it goes on at the mark; what was marked isn't asked for again."""
    reach(upstream, running, follower, path)
    running.kill()
    upstream.heal()
    upstream.forget()
    running.restart()
    assert len(spooled(running)) == 2
    assert tell(running.url).get(path).expect(200).body == layer.data
    assert upstream.sent_bytes(BLOBS) <= SIZE - SYNC_EVERY_BYTES // 2
    wait_until(lambda: not spooled(running), what="the spool is empty")
    assert layer.digest in visible_blobs(running.store)


def test_a_fill_goes_on_after_a_stop(
    upstream: HostileUpstream, running: Replica, follower: RawConnection, layer: Blob, path: str
) -> None:
    """A replica that is told to stop keeps what it has of a fill that doesn't end in time."""
    reach(upstream, running, follower, path)
    assert running.stop() == 0
    upstream.heal()
    upstream.forget()
    running.start()
    assert tell(running.url).get(path).expect(200).body == layer.data
    assert upstream.sent_bytes(BLOBS) <= SIZE - SYNC_EVERY_BYTES


def test_a_fill_goes_on_after_an_outage(
    upstream: HostileUpstream, running: Replica, follower: RawConnection, layer: Blob, path: str
) -> None:
    """C22: given up while the primary was away, it goes on where it was once it is back."""
    stall = reach(upstream, running, follower, path)
    upstream.cut()
    stall.release()
    upstream.heal()
    running.wait_event("fill.broken", timeout_seconds=20)
    assert len(spooled(running)) == 2
    upstream.restore()
    upstream.forget()
    client = RegistryClient(running.url)
    wait_until(lambda: client.get(path).status == 200, 30, what="the primary is tried again")
    assert upstream.sent_bytes(BLOBS) <= SIZE - SYNC_EVERY_BYTES
    assert client.get(path).expect(200).body == layer.data


async def test_bytes_that_rot_meanwhile_are_never_complete(
    upstream: HostileUpstream, running: Replica, follower: RawConnection, layer: Blob, path: str
) -> None:
    """C1, C21: what rotted in the spool is found at the end; then it comes from scratch."""
    reach(upstream, running, follower, path)
    running.kill()
    (file,) = (each for each in spooled(running) if each.suffix != ".mark")
    with file.open("r+b") as opened_file:
        opened_file.seek(1000)
        opened_file.write(bytes([layer.data[1000] ^ 1]))
    upstream.heal()
    running.restart()
    client = tell(running.url)
    found = await pull(running.address, path)
    assert not found.is_complete
    assert layer.digest not in visible_blobs(running.store)
    assert client.get(path).expect(200).body == layer.data


class Grown:
    """Says that the content has 512 bytes more than it has."""

    def apply(self, request: Request, answer: Answer) -> Answer:
        told = answer.field("Content-Range").replace(f"/{SIZE}", f"/{SIZE + 512}")
        return answer.with_field("Content-Range", told)


@pytest.mark.parametrize("fault", [Grown(), IgnoredRange()], ids=["grown", "no parts"])
def test_what_cant_go_on_begins_again(
    opened: Opened, upstream: HostileUpstream, layer: Blob, path: str, fault: AnswerFault
) -> None:
    """A primary whose content has another size by now, or that gives no parts: from scratch."""
    running = opened(replica(upstream.url))
    tell(running.url)
    with raw_connection(running.address) as client:
        reach(upstream, running, client, path)
        running.kill()
    upstream.heal()
    spoilt = upstream.inject(fault, method="GET", path=BLOBS)
    running.restart()
    assert tell(running.url).get(path).expect(200).body == layer.data
    assert spoilt.fired == 1
    wait_until(lambda: layer.digest in visible_blobs(running.store), what="it is kept")


def test_whats_left_without_a_mark_goes(opened: Opened, upstream: HostileUpstream) -> None:
    """C2: files without a mark, marks without a file, marks that can't be true: all go."""
    one = opened(replica(upstream.url))
    one.stop()
    spool = one.store / "spool"
    digest = "sha256:" + 64 * "a"
    for name, mark in {
        "fill-short": f'{{"digest":"{digest}","size":{SIZE},"here":{WORTH_KEEPING_BYTES}}}',
        "fill-odd": '{"digest":"sha256:x","size":1,"here":1}',
        "fill-over": f'{{"digest":"{digest}","size":1,"here":2}}',
        "fill-list": "[]",
        "fill-text": "nothing",
    }.items():
        (spool / name).write_bytes(b"x" * 100)
        (spool / f"{name}.mark").write_text(mark)
    (spool / "fill-alone").write_bytes(b"x" * 100)
    (spool / "fill-gone.mark").write_text(f'{{"digest":"{digest}","size":1,"here":1}}')
    one.start()
    assert spooled(one) == []
