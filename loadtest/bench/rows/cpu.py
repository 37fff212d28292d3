"""What a gigabyte costs the replica in processor time: cold, warm, and warm over TLS."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from loadtest.bench.client import Client
from loadtest.bench.curl import download_at_once
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, for_comparison
from loadtest.programs import Certificate, Replica, TinyPrimary
from loadtest.tiny.fixed import REPOSITORY
from loadtest.units import show_bytes, show_seconds

_BLOBS = 8
_BYTES = 100_000_000
_TICKS = os.sysconf("SC_CLK_TCK")


class Processor:
    """Some blobs at once; nothing to reach, but to be watched from release to release."""

    name = "cpu"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give seconds of processor time for each gigabyte."""
        room = lab.room(self.name)
        certificate = Certificate.make(room / "tls")
        with ExitStack() as stack:
            primary = stack.enter_context(TinyPrimary(room, blobs=_BLOBS, size_bytes=_BYTES))
            plain = stack.enter_context(Replica(room / "plain", primary=primary.url))
            yield _cost("cold", plain, primary.blobs, room)
            yield _cost("warm", plain, primary.blobs, room)
            secure = stack.enter_context(
                Replica(room / "secure", primary=primary.url, certificate=certificate)
            )
            _pull(secure, primary.blobs, room)
            yield _cost("warm over TLS", secure, primary.blobs, room)


def _cost(state: str, replica: Replica, digests: list[str], room: Path) -> Measurement:
    before = _used_seconds(replica.pid)
    size = _pull(replica, digests, room)
    used = _used_seconds(replica.pid) - before
    return Measurement(
        f"processor time for each GB, {len(digests)} blobs at once, {state}",
        1000 * used / (size / 1e9),
        for_comparison("ms"),
        f"{show_seconds(used)} for {show_bytes(size)}",
    )


def _pull(replica: Replica, digests: list[str], room: Path) -> int:
    client = Client(replica.url, REPOSITORY)
    urls = [client.url(f"blobs/{digest}") for digest in digests]
    return sum(each.size_bytes for each in download_at_once(urls, room).transfers)


def _used_seconds(pid: int) -> float:
    """Give the processor time that a process has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
