"""A primary that doesn't read: clients are held back, memory stays flat, all arrives at last."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.fills.in_process import InProcess
from tests.push.uploads import OCTETS, begin, finish
from tests.support.hostile import HostileUpstream, Unread
from tests.support.layers import blob
from tests.support.raw_http import RawConnection, raw_connection, request_bytes
from tests.support.registry_client import RegistryClient
from tests.support.replica import replica as separate_replica
from tests.support.waiting import wait_until

MIB = 1 << 20
PIECE = bytes(256 << 10)
UPLOADS = 50
DECLARED_BYTES = 20 * MIB
SENT_BYTES = 4 * MIB
GROWTH_BYTES = 60 * MIB
SAMPLES = 10
SAMPLE_SECONDS = 0.03


@contextmanager
def uploading(address: str, target: str, size: int) -> Iterator[RawConnection]:
    """Send the head of a PATCH with *size* bytes to come."""
    length = ("Content-Length", str(size))
    with raw_connection(address) as client:
        client.send(request_bytes("PATCH", target, address, *OCTETS.items(), length))
        yield client


def send_some(client: RawConnection, size: int, patience_seconds: float) -> int:
    """Send zeros until *size* bytes are taken, or none is for a while; give how many were."""
    client.socket.settimeout(patience_seconds)
    sent = 0
    try:
        while sent < size:
            sent += client.socket.send(PIECE[: size - sent])
    except TimeoutError:
        pass
    return sent


def test_a_primary_that_stalls_stalls_the_client(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """C27, T16: of a body that the primary doesn't read no more is taken from the client than the
    sockets on the way hold; when it reads on, all of it arrives.
    """
    content = blob(bytes(_more_than_sockets_hold()))
    target = begin(replica.client)
    unread = upstream.inject(Unread(MIB), method="PATCH")
    with uploading(replica.address, target, len(content.data)) as client:
        sent = send_some(client, len(content.data), 0.5)
        unread.wait_fired()
        assert sent < len(content.data)
        unread.release()
        client.socket.settimeout(20)
        client.send(bytes(len(content.data) - sent))
        reply = client.read_reply()
    assert reply.status == 202
    finish(replica.client, reply.header("Location"), content).expect(201)
    assert content.digest in upstream.contents.repository("app").blobs


def _more_than_sockets_hold() -> int:
    """Give more bytes than two connections and the readers at their ends can hold."""
    largest = [
        int(Path(f"/proc/sys/net/ipv4/tcp_{kind}mem").read_text().split()[2]) for kind in "rw"
    ]
    return 2 * sum(largest) + 8 * MIB


def memory_bytes(pid: int) -> int:
    """Give what a process has in memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_many_stalled_uploads_take_little_memory(upstream: HostileUpstream) -> None:
    """C27, T16: 50 uploads of 20 MB that the primary doesn't read cost a MiB of memory each, and
    end when it goes away.
    """
    with separate_replica(upstream.url) as replica, ExitStack() as stack:
        client = RegistryClient(replica.url)
        targets = [begin(client) for _ in range(UPLOADS)]
        unread = upstream.inject(Unread(0), method="PATCH", times=None)
        before = memory_bytes(replica.process.pid)
        for target in targets:
            upload = uploading(replica.address, target, DECLARED_BYTES)
            send_some(stack.enter_context(upload), SENT_BYTES, 0.05)
        unread.wait_fired(UPLOADS)
        for _ in range(SAMPLES):
            assert memory_bytes(replica.process.pid) - before < GROWTH_BYTES
            time.sleep(SAMPLE_SECONDS)
        upstream.cut()
        wait_until(lambda: len(replica.events("push.relayed")) == 2 * UPLOADS)
