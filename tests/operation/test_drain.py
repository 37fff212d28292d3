"""SIGTERM: not ready at once, nothing new, what is under way ends well, nothing half-done stays."""

import signal
import socket
import time
from contextlib import ExitStack

from tests.support import images
from tests.support.hostile import Fault, HostileUpstream, Stall
from tests.support.layers import Blob, random_blob
from tests.support.ports import answers
from tests.support.raw_http import Ending, raw_connection, request_bytes
from tests.support.replica import Replica, replica
from tests.support.store_tree import linked_blobs, visible_blobs, wrong_blobs
from tests.support.waiting import wait_until

REPOSITORY = "team/app"
HOST = "127.0.0.1"
SIZE = 4 << 20
CLIENTS = 50


def _stalled(upstream: HostileUpstream, seed: str) -> tuple[Blob, Fault]:
    """Give a blob that the primary stops sending half-way, until the fault is released."""
    content = upstream.contents.add_blob(REPOSITORY, random_blob(SIZE, seed))
    return content, upstream.inject(Stall(SIZE // 2), path=f".*{content.digest}", method="GET")


def _pull(content: Blob) -> bytes:
    return request_bytes("GET", f"/v2/{REPOSITORY}/blobs/{content.digest}", HOST)


def _spooled(running: Replica) -> list[str]:
    return [path.name for path in (running.store / "spool").iterdir()]


def test_requests_in_flight_finish_and_nothing_is_left(upstream: HostileUpstream):
    """C25, F20: TERM with 50 pulls of a running fill: each gets all, the blob is kept, exit 0."""
    content, fault = _stalled(upstream, "drained")
    with replica(upstream.url) as running, ExitStack() as stack:
        idle = stack.enter_context(raw_connection(running.address))
        idle.send(request_bytes("GET", "/v2/", HOST))
        assert idle.read_reply().status == 200
        clients = [stack.enter_context(raw_connection(running.address)) for _ in range(CLIENTS)]
        for client in clients:
            client.send(_pull(content))
        fault.wait_fired()
        wait_until(lambda: running.metrics().value("proxima_followers") == CLIENTS)

        running.process.send(signal.SIGTERM)
        wait_until(lambda: running.get_ops("/readyz").status == 503, 2, "not ready")
        assert running.get_ops("/readyz").json()["status"] == "draining"
        assert running.get_ops("/healthz").status == 200
        wait_until(lambda: not answers(*_split(running.address)), 2, "nobody listens")
        assert idle.wait_for_end(2) is not Ending.KEPT_OPEN
        assert running.process.is_running

        fault.release()
        for client in clients:
            reply = client.read_reply()
            assert (reply.status, reply.body == content.data) == (200, True)
            assert client.wait_for_end() is not Ending.KEPT_OPEN
        assert running.process.wait(10) == 0
        assert _spooled(running) == []
        assert content.digest in linked_blobs(running.store, REPOSITORY)
        assert wrong_blobs(running.store) == set()
        assert running.events("replica.stopped")


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def test_a_fill_that_nobody_waits_for_any_more_is_committed(upstream: HostileUpstream):
    """C25: a fill whose client has left counts as under way: it ends before the process does."""
    content, fault = _stalled(upstream, "orphan")
    with replica(upstream.url) as running:
        with raw_connection(running.address) as client:
            client.send(_pull(content))
            fault.wait_fired()
            taken = 0
            while taken < SIZE // 2:  # all there is: nothing is being sent when it leaves
                taken += len(client.read(SIZE))
        wait_until(lambda: running.metrics().value("proxima_followers") == 0)
        running.process.send(signal.SIGTERM)
        running.wait_event("replica.draining")
        fault.release()
        assert running.process.wait(10) == 0
        assert content.digest in visible_blobs(running.store)
        assert _spooled(running) == []


def test_what_does_not_finish_in_time_vanishes(upstream: HostileUpstream):
    """C25: after `drain_limit` clients are cut, never told that all is there; exit 0 anyway."""
    content, fault = _stalled(upstream, "too slow")
    with replica(upstream.url, listen={"drain_limit": "300ms"}) as running:
        with raw_connection(running.address) as client:
            client.send(_pull(content))
            fault.wait_fired()
            started_at = time.monotonic()
            running.process.send(signal.SIGTERM)
            reply = client.read_reply()
            assert (reply.status, reply.is_complete) == (200, False)
            assert client.wait_for_end() is not Ending.KEPT_OPEN
        assert running.process.wait(5) == 0
        assert time.monotonic() - started_at < 5
        assert _spooled(running) == []
        assert visible_blobs(running.store) == {}


def test_clients_that_take_nothing_do_not_hold_it(upstream: HostileUpstream):
    """C25: nor do readers that stall: of a stored blob, of a long manifest."""
    content = upstream.contents.add_blob(REPOSITORY, random_blob(24 << 20, "stored"))
    manifest = images.oci_image("long", annotations={"text": 3 * "a" * (1 << 20)})
    upstream.contents.add(REPOSITORY, manifest, "long")
    with replica(upstream.url, listen={"drain_limit": "300ms"}) as running, ExitStack() as stack:
        pulls = (
            _pull(content),
            request_bytes("GET", f"/v2/{REPOSITORY}/manifests/long", HOST) * 5,
        )
        for sent in pulls:
            connection = raw_connection(running.address, receive_buffer_bytes=4096)
            client = stack.enter_context(connection)
            client.send(sent)
            assert client.read(1)
        running.wait_event("fill.committed")
        started_at = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - started_at < 3


def test_a_second_signal_leaves_five_seconds(upstream: HostileUpstream):
    """C25: after a second one not even a stalled fill, whose client has left, holds it longer."""
    content, fault = _stalled(upstream, "orphaned")
    with replica(upstream.url) as running:
        with raw_connection(running.address) as leaving:
            leaving.send(_pull(content))
            fault.wait_fired()
        running.process.send(signal.SIGTERM)
        running.wait_event("replica.draining")
        started_at = time.monotonic()
        running.process.send(signal.SIGINT)
        assert running.process.wait(15) == 0
        assert 3 < time.monotonic() - started_at < 9
        assert _spooled(running) == []
        assert visible_blobs(running.store) == {}


def test_a_long_manifest_to_a_slow_client_is_finished(upstream: HostileUpstream):
    """C25: an answer that was decided and isn't out yet counts as in flight."""
    manifest = images.oci_image("long", annotations={"text": 3 * "a" * (1 << 20)})
    upstream.contents.add(REPOSITORY, manifest, "long")
    pull = request_bytes("GET", f"/v2/{REPOSITORY}/manifests/long", HOST)
    with (
        replica(upstream.url) as running,
        raw_connection(running.address, receive_buffer_bytes=4096) as client,
    ):
        client.send(pull * 4)
        assert client.read(1) == b"H"
        running.process.send(signal.SIGTERM)
        running.wait_event("replica.draining")
        time.sleep(0.5)  # the pace of this client
        rest = bytearray(b"H")
        while piece := client.read(1 << 20):
            rest += piece
        assert rest.count(manifest.data) >= 1
        assert rest.endswith(manifest.data)
        assert running.process.wait(10) == 0


def test_a_connection_without_a_request_does_not_hold_it(upstream: HostileUpstream):
    """C25: idle connections and half a header end with the first signal."""
    with replica(upstream.url) as running, ExitStack() as stack:
        for sent in (b"", b"GET /v2/ HT", b"GET /v2/ HTTP/1.1\r\nHost: "):
            connection = stack.enter_context(raw_connection(running.address))
            connection.send(sent)
        started_at = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - started_at < 3


def test_the_ports_are_free_for_the_next_process(upstream: HostileUpstream):
    """C25: what ended lets another start on the same addresses and store at once."""
    with replica(upstream.url) as running:
        running.restart()
        assert running.get_ops("/readyz").status == 200
        with socket.create_connection(_split(running.address), 2):
            pass
