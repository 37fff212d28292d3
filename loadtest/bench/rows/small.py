"""Warm manifests and small blobs: requests a second beside a bare handler with the same bytes."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from loadtest.bench.bare import BareHandler
from loadtest.bench.client import Client, Got
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, Target, at_least
from loadtest.bench.peers import median_ratio, take_turns
from loadtest.bench.wrk import Endpoint, drive
from loadtest.image import MANIFEST_ACCEPT
from loadtest.login import Login
from loadtest.programs import Replica, TinyPrimary
from loadtest.tiny.fixed import REPOSITORY, TAG

_CONNECTIONS = (1, 32)
_LOGIN = Login("bench", "throwaway")


@dataclass(frozen=True, slots=True)
class WarmSmall:
    """One kind of small content, by each of its paths, from an open replica and with tokens."""

    name: str
    what: str
    paths: tuple[tuple[str, str], ...]
    target: Target

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give a ratio for each number of connections, path and kind of access."""
        room = lab.room(self.name)
        with ExitStack() as stack:
            open_ways = self._warm(stack, room, "open", None)
            token_ways = self._warm(stack, room, "token", _LOGIN)
            _, answer = open_ways[0]
            bare = stack.enter_context(BareHandler(room, answer))
            peers = {"bare": Endpoint(bare.url, {"Accept": MANIFEST_ACCEPT})}
            peers |= {name: endpoint for (name, endpoint), _ in (*open_ways, *token_ways)}
            for connections in _CONNECTIONS:
                yield from self._compare(lab, room, peers, connections)

    def _warm(
        self, stack: ExitStack, room: Path, access: str, login: Login | None
    ) -> list[tuple[tuple[str, Endpoint], Got]]:
        """Run a replica that has the content; give each way to it, and the answer there."""
        primary = stack.enter_context(TinyPrimary(room / access, login=login))
        replica = stack.enter_context(Replica(room / access, primary=primary.url))
        client = Client(replica.url, REPOSITORY, login)
        ways = []
        for way, template in self.paths:
            path = template.format(index=primary.index, small=primary.layers[0])
            answer = client.get(path)
            ways.append(((f"{way}{access}", Endpoint(client.url(path), client.headers)), answer))
        return ways

    def _compare(
        self, lab: Lab, room: Path, endpoints: dict[str, Endpoint], connections: int
    ) -> Iterator[Measurement]:
        peers = {
            name: partial(drive, endpoint, connections, lab.window_seconds, room)
            for name, endpoint in endpoints.items()
        }
        paces = take_turns(peers, lab.rounds)
        rates = {
            name: [pace.requests_per_second for pace in turns] for name, turns in paces.items()
        }
        bare = rates.pop("bare")
        for name, ours in rates.items():
            yield Measurement(
                f"{self.what}{name}, {connections} connection{'s' if connections > 1 else ''}",
                median_ratio(ours, bare),
                self.target,
                f"{median(ours):,.0f}/s beside {median(bare):,.0f}/s of a bare aiohttp handler",
            )


WARM_MANIFEST = WarmSmall(
    "manifest",
    "warm manifest ",
    (("by tag, ", f"manifests/{TAG}"), ("by digest, ", "manifests/{index}")),
    at_least(0.5),
)
SMALL_BLOB = WarmSmall("small-blob", "warm blob of 2 KB, ", (("", "blobs/{small}"),), at_least(0.4))
