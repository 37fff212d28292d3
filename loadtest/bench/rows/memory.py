"""The replica's memory while the 64 large layers of an image are pulled at once, cold and warm."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from loadtest.bench.client import Client
from loadtest.bench.curl import Downloads, download_at_once
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, at_most
from loadtest.programs import Replica, TinyPrimary
from loadtest.tiny.fixed import LARGE_TAG, REPOSITORY
from loadtest.units import show_bytes, show_seconds

_BLOBS = 64
_SAMPLE_SECONDS = 0.05
_MIB = 2**20


class Memory:
    """Every blob is another one; the link is as fast as the machine; warm is after a restart."""

    name = "memory"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the growth of the resident memory, cold and warm."""
        room = lab.room(self.name)
        with ExitStack() as stack:
            primary = stack.enter_context(
                TinyPrimary(room, blobs=_BLOBS, size_bytes=lab.many_blob_bytes)
            )
            replica = stack.enter_context(Replica(room, primary=primary.url))
            yield _watch("cold", replica, primary.blobs, room)
            replica.end()
            replica.start()
            yield _watch("warm", replica, primary.blobs, room)


def _watch(state: str, replica: Replica, digests: list[str], room: Path) -> Measurement:
    client = Client(replica.url, REPOSITORY)
    index = json.loads(client.get(f"manifests/{LARGE_TAG}").body)
    client.get(f"manifests/{index['manifests'][0]['digest']}")  # it announces the blobs' sizes
    urls = [client.url(f"blobs/{digest}") for digest in digests]
    before = replica.rss_bytes
    with sampled(replica) as samples:
        downloads: Downloads = download_at_once(urls, room)
    pulled = sum(transfer.size_bytes for transfer in downloads.transfers)
    return Measurement(
        f"memory: {len(urls)} {state} blobs of {show_bytes(pulled // len(urls))} at once",
        (max(samples) - before) / _MIB,
        at_most(100, "MiB more"),
        f"{before / _MIB:,.0f} MiB before; {show_bytes(pulled)} in"
        f" {show_seconds(downloads.wall_seconds)}",
    )


@contextmanager
def sampled(replica: Replica) -> Iterator[list[int]]:
    """Give the replica's resident memory, sampled for the length of the block."""
    samples = [replica.rss_bytes]
    is_over = threading.Event()

    def sample() -> None:
        while not is_over.wait(_SAMPLE_SECONDS):
            samples.append(replica.rss_bytes)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield samples
    finally:
        is_over.set()
        sampler.join()
