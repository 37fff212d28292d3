"""A primary that can't be reached: misses fail soon and say when to come again; hits go on."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from config import Address
from tests.conftest import Opened
from tests.fills.blackhole import blackhole
from tests.fills.calls import blob_path, causes, get
from tests.fills.in_process import InProcess, in_process
from tests.support.hostile import Hold, HostileUpstream, Status, hostile_upstream
from tests.support.layers import Blob, random_blob
from tests.support.waiting import wait_until

FAILURES_TO_OPEN = 5
CONNECT_SECONDS = 2.0


def put(upstream: HostileUpstream, name: str) -> Blob:
    return upstream.contents.add_blob("app", random_blob(100_000, name))


def path_of(content: Blob) -> str:
    return blob_path("app", content.digest)


def warm(upstream: HostileUpstream, replica: InProcess) -> str:
    """Bring one blob here, and with it the right to pull; give its path."""
    path = path_of(put(upstream, "warm"))
    replica.client.get(path).expect(200)
    replica.wait_idle()
    return path


def breaker(replica: InProcess, state: str) -> float:
    return replica.metrics().value("proxima_breakers", state=state)


def test_a_black_hole(upstream: HostileUpstream, replica: InProcess) -> None:
    """C22, F9: behind a black hole a miss is 503 with Retry-After within 6 s; hits are served
    meanwhile.
    """
    here, missing = warm(upstream, replica), path_of(put(upstream, "missing"))
    upstream.cut()
    with blackhole(upstream.address), ThreadPoolExecutor(1) as another:
        started_at = time.monotonic()
        pending = another.submit(replica.client.get, missing)
        wait_until(lambda: replica.flights == 1)
        for _ in range(3):
            replica.client.get(here).expect(200)
        assert not pending.done()
        reply = pending.result().expect(503)
        assert time.monotonic() - started_at <= 6.0
    assert int(reply.header("Retry-After") or 0) >= 1


def test_the_breaker_opens_and_probes(upstream: HostileUpstream, replica: InProcess) -> None:
    """F9: after five failures the primary is left alone; ten seconds later one request finds out
    that it is back.
    """
    warm(upstream, replica)
    upstream.cut()
    for number in range(FAILURES_TO_OPEN):
        replica.client.get(path_of(put(upstream, f"failing {number}"))).expect(503)
    assert breaker(replica, "open") == 1
    upstream.restore()
    missing = put(upstream, "missing")
    with causes(upstream):
        refused = replica.client.get(path_of(missing)).expect(503)
    assert int(refused.header("Retry-After") or 0) >= 1
    replica.clock.advance(10.0)
    with causes(upstream, get(path_of(missing))):
        assert replica.client.get(path_of(missing)).expect(200).body == missing.data
    assert breaker(replica, "closed") == 1


def test_a_failed_probe_keeps_the_breaker_open(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """F9: a probe that fails puts the next one off by ten seconds more."""
    warm(upstream, replica)
    upstream.cut()
    missing = path_of(put(upstream, "missing"))
    for _ in range(FAILURES_TO_OPEN):
        replica.client.get(missing).expect(503)
    replica.clock.advance(10.0)
    replica.client.get(missing).expect(503)
    upstream.restore()
    with causes(upstream):
        replica.client.get(missing).expect(503)


def test_a_dead_address_costs_little(opened: Opened, upstream: HostileUpstream) -> None:
    """F9: with one of two addresses dead pulls succeed, and once its breaker is open it isn't tried
    for each: not even a black hole holds them up.
    """
    with hostile_upstream() as gone:
        addresses = [Address(each.listener.host, each.listener.port) for each in (gone, upstream)]
        gone.cut()
        replica = opened(in_process(upstream.url, primary={"connect_to": tuple(addresses)}))
        for number in range(FAILURES_TO_OPEN):
            replica.client.get(path_of(put(upstream, str(number)))).expect(200)
        assert (breaker(replica, "open"), breaker(replica, "closed")) == (1, 1)
        with blackhole(gone.address):
            started_at = time.monotonic()
            for number in range(10, 15):
                replica.client.get(path_of(put(upstream, str(number)))).expect(200)
            assert time.monotonic() - started_at < 5 * CONNECT_SECONDS


@pytest.mark.parametrize(("status", "answer"), [(429, 429), (503, 503), (500, 503)])
def test_retry_after_reaches_the_client(
    upstream: HostileUpstream, replica: InProcess, status: int, answer: int
) -> None:
    """F12: when the primary asks for patience, the client hears for how long."""
    warm(upstream, replica)
    wait = upstream.inject(Status(status, fields=(("Retry-After", "17"),)), method="GET")
    reply = replica.client.get(path_of(put(upstream, "later"))).expect(answer)
    assert wait.fired == 1
    assert reply.header("Retry-After") == "17"


def test_a_primary_that_says_nothing(opened: Opened, upstream: HostileUpstream) -> None:
    """F10: a primary that takes the request and never answers is 503 after `read_timeout`."""
    replica = opened(in_process(upstream.url, primary={"read_timeout": 1.0}))
    warm(upstream, replica)
    hold = upstream.inject(Hold(), method="GET", times=None)
    reply = replica.client.get(path_of(put(upstream, "mute"))).expect(503)
    assert hold.fired
    assert reply.header("Retry-After")
