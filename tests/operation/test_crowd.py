"""A thousand clients of one segmented cold fill, most of whom take nothing of it."""

import resource
import ssl
import time
from collections.abc import Iterator

import pytest

from tests.operation.held_fill import HOST, SIZE, HeldFill, held_fill
from tests.operation.process_state import descriptors, highest_resident_bytes, resident_bytes
from tests.support.certificates import Authority
from tests.support.hostile import HostileUpstream
from tests.support.layers import BLOCK_BYTES
from tests.support.raw_http import raw_connection
from tests.support.replica import Replica, replica
from tests.support.waiting import wait_until

FOLLOWERS = 1000
GROWTH_BYTES = 150 << 20
TLS_GROWTH_BYTES = 350 << 20
FILES = 4096
LANES = 16
NOISE_SECONDS = 0.5


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Let this process have as many connections as the test opens."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _wait_sent(running: Replica) -> None:
    """Wait until the stalled clients have been sent what they take."""

    def is_still() -> bool:
        nonlocal sent
        before, sent = sent, running.metrics().value("proxima_sent_bytes_total")
        return sent == before

    sent = -1.0
    wait_until(is_still, 10, "nobody is sent anything")


def _seconds_from_release(
    fill: HeldFill, running: Replica, tls: ssl.SSLContext | None = None
) -> float:
    """Pull the layer with one client that takes what comes, and let the fill go on."""
    with raw_connection(running.address, tls=tls) as client:
        client.send(fill.pull)
        started_at = time.monotonic()
        fill.release()
        assert client.read_reply().body == fill.layer.data
        return time.monotonic() - started_at


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_stalled_followers_slow_nobody(
    upstream: HostileUpstream, authority: Authority, is_tls: bool
):
    """C7, C26, F22: 1,000 followers of a fill in segments take nothing: it ends, another client has
    it as soon as it would without them, each byte was asked for once, memory stays.
    """
    sections, tls = {}, None
    if is_tls:
        files = authority.issue(HOST)
        sections["tls"] = {"certificate": files.certificate, "key": files.key}
        tls = authority.client_context()
    lonely, crowded = held_fill(upstream, SIZE + BLOCK_BYTES), held_fill(upstream)
    with replica(upstream.url, **sections) as running:
        with lonely.stalled_followers(running, 1, tls):
            alone_seconds = _seconds_from_release(lonely, running, tls)
            running.wait_event("fill.committed", digest=lonely.layer.digest)
        before, files_before = resident_bytes(running), descriptors(running)
        with crowded.stalled_followers(running, FOLLOWERS, tls):
            _wait_sent(running)
            assert running.metrics().value("proxima_flights") == 1
            crowd_seconds = _seconds_from_release(crowded, running, tls)
            running.wait_event("fill.committed", digest=crowded.layer.digest)
            growth = highest_resident_bytes(running) - before
        print(f"alone {alone_seconds:.2f} s, crowd {crowd_seconds:.2f} s, {growth >> 20} MiB more")
        assert growth < (TLS_GROWTH_BYTES if is_tls else GROWTH_BYTES)
        assert crowd_seconds < 2 * alone_seconds + NOISE_SECONDS
        assert crowded.asked_bytes == SIZE
        given_back = files_before + LANES + 4  # connections to the primary are kept for a while
        wait_until(lambda: descriptors(running) <= given_back, 10, "they are given back")
        assert running.stop() == 0
