"""A warm blob of 10 MiB over 8 connections: bytes a second beside nginx with sendfile."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from loadtest.bench.client import Client
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, Target, at_least
from loadtest.bench.peers import median_ratio, take_turns
from loadtest.bench.wrk import Endpoint, drive
from loadtest.programs import Certificate, Nginx, Replica, TinyPrimary
from loadtest.tiny.fixed import REPOSITORY
from loadtest.units import show_bytes

_SIZE_BYTES = 10 * 2**20
_CONNECTIONS = 8


class LargeBlob:
    """Plain and TLS; nginx has one worker, as the replica has one process."""

    name = "large-blob"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give a ratio for plain HTTP and one for TLS."""
        room = lab.room(self.name)
        with ExitStack() as stack:
            primary = stack.enter_context(TinyPrimary(room, blobs=1, size_bytes=_SIZE_BYTES))
            certificate = Certificate.make(room / "tls")
            yield _compare(lab, room / "plain", primary, None, at_least(0.75))
            yield _compare(lab, room / "secure", primary, certificate, at_least(0.85))


def _compare(
    lab: Lab, room: Path, primary: TinyPrimary, certificate: Certificate | None, target: Target
) -> Measurement:
    root = room / "root"
    root.mkdir(parents=True)
    path = f"blobs/{primary.blobs[0]}"
    with (
        Replica(room, primary=primary.url, certificate=certificate) as replica,
        Nginx(room, root, certificate) as nginx,
    ):
        trusted = certificate.certificate if certificate else None
        client = Client(replica.url, REPOSITORY, trusted=trusted)
        (root / "blob").write_bytes(client.get(path).body)
        peers = {
            "nginx": Endpoint(f"{nginx.url}/blob", client.headers),
            "replica": Endpoint(client.url(path), client.headers),
        }
        paces = take_turns(
            {
                name: partial(drive, peer, _CONNECTIONS, lab.window_seconds, room)
                for name, peer in peers.items()
            },
            lab.rounds,
        )
    ours = [pace.bytes_per_second for pace in paces["replica"]]
    theirs = [pace.bytes_per_second for pace in paces["nginx"]]
    return Measurement(
        f"warm 10 MiB blob, {_CONNECTIONS} connections, {'TLS' if certificate else 'plain'}",
        median_ratio(ours, theirs),
        target,
        f"{show_bytes(int(median(ours)))}/s beside {show_bytes(int(median(theirs)))}/s of nginx,"
        " one worker",
    )
