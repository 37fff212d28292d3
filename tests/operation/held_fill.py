"""A fill in segments that stands still at its primary until a test lets it go on."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from proxy.oci.span import parse_range
from proxy.registry.segments import LONGEST_BYTES
from tests.fills.calls import blob_path, manifest_path
from tests.fills.large import large_image
from tests.support.hostile import HostileUpstream, Stall
from tests.support.hostile.injection import Fault
from tests.support.http1 import Request
from tests.support.layers import Blob
from tests.support.raw_http import RawConnection, raw_connection, request_bytes
from tests.support.replica import Replica
from tests.support.waiting import wait_until

REPOSITORY = "team/app"
HOST = "127.0.0.1"
SIZE = 3 * LONGEST_BYTES
SMALL_BUFFER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class HeldFill:
    """A layer at the primary, whose second segment stalls at its begin."""

    upstream: HostileUpstream
    manifest: str
    layer: Blob
    stall: Fault

    @property
    def pull(self) -> bytes:
        """What a client sends that pulls it."""
        return request_bytes("GET", blob_path(REPOSITORY, self.layer.digest), HOST)

    @property
    def asked_bytes(self) -> int:
        """How many bytes of it the primary was asked for."""
        size = len(self.layer.data)
        seen = self.upstream.requests("GET", blob_path(REPOSITORY, self.layer.digest))
        parts = [parse_range(each.fields.get("Range")) for each in seen]
        assert len(parts) > 1
        return sum(len(part.on(size)) for part in parts if part is not None)

    @contextmanager
    def stalled_followers(
        self, running: Replica, count: int, tls: ssl.SSLContext | None = None
    ) -> Iterator[list[RawConnection]]:
        """Let so many clients follow the fill that take nothing; it stands still by then."""
        path = manifest_path(REPOSITORY, self.manifest)
        with ExitStack() as stack:
            with raw_connection(running.address, tls=tls) as told:
                told.send(request_bytes("GET", path, HOST))
                assert told.read_reply().status == 200
            clients = []
            for _ in range(count):
                client = raw_connection(
                    running.address, tls=tls, receive_buffer_bytes=SMALL_BUFFER_BYTES
                )
                clients.append(stack.enter_context(client))
                clients[-1].send(self.pull)
            wait_until(lambda: _followers(running) == count, 10, "all follow")
            self.stall.wait_fired()
            yield clients

    def release(self) -> None:
        """Let it go on."""
        assert self.stall.fired
        self.stall.release()


def held_fill(upstream: HostileUpstream, size: int = SIZE) -> HeldFill:
    """Give a layer of *size* bytes, which a manifest announces."""
    name = f"large-{size}"
    image = upstream.contents.add(REPOSITORY, large_image(size), name)
    layer = image.blobs[1]
    stall = upstream.inject(
        Stall(100), method="GET", path=blob_path(REPOSITORY, layer.digest), where=_is_second
    )
    return HeldFill(upstream, name, layer, stall)


def _is_second(request: Request) -> bool:
    return request.fields.get("Range").startswith(f"bytes={LONGEST_BYTES}-")


def _followers(running: Replica) -> float:
    return running.metrics().value("proxima_followers")
