"""A warm manifest while the replica fills 8 blobs and serves 200 readers: its p99 beside idle."""

from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median

from loadtest.address import parse_address
from loadtest.bench.client import Client
from loadtest.bench.curl import downloading
from loadtest.bench.lab import LINK, Lab
from loadtest.bench.measurement import Measurement, at_most
from loadtest.bench.wrk import Endpoint, drive
from loadtest.programs import LinkProgram, Replica, TinyPrimary
from loadtest.tiny.fixed import REPOSITORY, TAG
from loadtest.units import show_seconds

_FILLS, _READERS = 8, 200
_READER_RATE = "500k"
_LINK_BYTES_PER_SECOND = 100_000_000
_SPARE_SECONDS = 4.0  # programs start and end while the fills go on


class Busy:
    """One connection asks for the manifest; idle and busy take turns."""

    name = "busy"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the ratio of the p99 times."""
        room = lab.room(self.name)
        # All fills of a round together must last longer than its window.
        size_bytes = int(_LINK_BYTES_PER_SECOND * (lab.window_seconds + _SPARE_SECONDS) / _FILLS)
        with ExitStack() as stack:
            blobs = 1 + _FILLS * lab.rounds
            primary = stack.enter_context(TinyPrimary(room, blobs=blobs, size_bytes=size_bytes))
            link = stack.enter_context(LinkProgram(parse_address(primary.address), LINK, room))
            replica = stack.enter_context(
                Replica(room, primary=primary.url, connect_to=link.address)
            )
            client = Client(replica.url, REPOSITORY)
            warm, *cold = [client.url(f"blobs/{digest}") for digest in primary.blobs]
            client.get(f"manifests/{TAG}")
            client.get(f"blobs/{primary.blobs[0]}")
            endpoint = Endpoint(client.url(f"manifests/{TAG}"), client.headers)
            idle, busy = [], []
            for number in range(lab.rounds):
                idle.append(drive(endpoint, 1, lab.window_seconds, room).p99_seconds)
                fills = cold[number * _FILLS : (number + 1) * _FILLS]
                with (
                    downloading([warm] * _READERS, room, name="readers", rate=_READER_RATE),
                    downloading(fills, room, name="fills", rate="1G"),
                ):
                    busy.append(drive(endpoint, 1, lab.window_seconds, room).p99_seconds)
        yield Measurement(
            f"warm manifest while {_FILLS} fills and {_READERS} readers run: p99",
            median(busy) / median(idle),
            at_most(2.0),
            f"{show_seconds(median(busy))} beside {show_seconds(median(idle))} idle",
        )
