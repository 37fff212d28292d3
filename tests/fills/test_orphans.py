"""Fills that nobody follows any more: some may finish, the rest vanish."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.conftest import Opened
from tests.fills.calls import blob_path
from tests.fills.in_process import InProcess, in_process
from tests.support.hostile import BLOBS, HostileUpstream, Slow
from tests.support.layers import Blob, random_blob
from tests.support.raw_http import RawConnection, raw_connection, request_bytes
from tests.support.store_tree import visible_blobs
from tests.support.waiting import wait_until

SIZE = 1_000_000


@contextmanager
def slow_clients(
    upstream: HostileUpstream, replica: InProcess, count: int
) -> Iterator[tuple[list[Blob], list[RawConnection]]]:
    """Let *count* clients each begin to pull a blob, one after the other, of a link that drips."""
    upstream.inject(Slow(20_000, 0.02), method="GET", path=BLOBS, times=None)
    contents = [random_blob(SIZE, f"orphan {number}") for number in range(count)]
    with ExitStack() as stack:
        clients = []
        for content in contents:
            upstream.contents.add_blob("app", content)
            client = stack.enter_context(raw_connection(replica.address))
            path = blob_path("app", content.digest)
            client.send(request_bytes("GET", path, replica.address))
            assert client.read(100).startswith(b"HTTP/1.1 200")
            clients.append(client)
        yield contents, clients


def cancelled(replica: InProcess) -> list[str]:
    return [event["digest"] for event in replica.events("fill.cancelled")]


def test_the_youngest_orphans_are_cancelled(opened: Opened, upstream: HostileUpstream) -> None:
    """F19: with max_orphans = 1, of three fills without clients the oldest finishes; the others are
    ended and leave nothing.
    """
    replica = opened(in_process(upstream.url, fill={"max_orphans": 1}))
    with slow_clients(upstream, replica, 3) as (contents, clients):
        for client in clients:
            client.reset()
        wait_until(lambda: replica.flights == 1, what="two fills are ended")
        replica.wait_idle()
    assert sorted(cancelled(replica)) == sorted(each.digest for each in contents[1:])
    assert set(visible_blobs(replica.store)) == {contents[0].digest}


def test_followed_fills_are_no_orphans(opened: Opened, upstream: HostileUpstream) -> None:
    """F19: with max_orphans = 0 a fill ends with its last client, and no other does."""
    replica = opened(in_process(upstream.url, fill={"max_orphans": 0}))
    with slow_clients(upstream, replica, 2) as (contents, clients):
        clients[1].reset()
        wait_until(lambda: cancelled(replica) == [contents[1].digest])
        body = clients[0].read(1)
        while len(body) < SIZE - 1000 and (piece := clients[0].read(1 << 20)):
            body += piece
        replica.wait_idle()
    assert set(visible_blobs(replica.store)) == {contents[0].digest}


def test_a_cancelled_fill_begins_anew(opened: Opened, upstream: HostileUpstream) -> None:
    """A blob whose fill was cancelled is fetched again for the next client."""
    replica = opened(in_process(upstream.url, fill={"max_orphans": 0}))
    with slow_clients(upstream, replica, 1) as ((content,), (client,)):
        client.reset()
        wait_until(lambda: cancelled(replica) == [content.digest])
    upstream.heal()
    path = blob_path("app", content.digest)
    assert replica.client.get(path).expect(200).body == content.data
    assert upstream.count("GET", path) == 2
