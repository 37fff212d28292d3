"""Many clients on one cold blob: what crosses the link, and what each waits."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from loadtest.address import parse_address
from loadtest.bench.client import Client
from loadtest.bench.crowd import Crowd, CrowdClient
from loadtest.bench.lab import LINK, Lab
from loadtest.bench.measurement import Measurement, at_most, for_comparison
from loadtest.programs import LinkProgram, Replica, StockRegistry
from loadtest.tiny.fixed import REPOSITORY
from loadtest.units import show_seconds

_ONCE = 1.005  # the blob, with the requests and headers around it
_MANY_BLOB_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Round:
    """One client alone, then the crowd, each on a cold blob of its own."""

    alone: Crowd
    crowd: Crowd
    link_ratio: float

    @property
    def wall_ratio(self) -> float:
        """How much longer the crowd took."""
        return self.crowd.wall_seconds / self.alone.wall_seconds

    @property
    def first_byte_ratio(self) -> float:
        """How much later half of the crowd had its first byte."""
        return self.crowd.first_byte_seconds / self.alone.first_byte_seconds

    @property
    def first_byte_p99_late_ms(self) -> float:
        """How much later than 1.5x of one client's the slowest hundredth had its first byte."""
        limit_seconds = 1.5 * self.alone.first_byte_seconds
        return (self.crowd.slow_first_byte_seconds - limit_seconds) * 1000


@dataclass(frozen=True, slots=True)
class Stage:
    """Who answers the crowd, who publishes for it, and the link between them."""

    client: CrowdClient
    publisher: Client
    link: LinkProgram
    answerer: str

    def play(self, clients: int, size_bytes: int, seed: int) -> Round:
        """Let one client, then *clients* at once download a blob of *size_bytes*."""
        source = random.Random(seed)
        alone = self._download(1, source.randbytes(size_bytes))
        before = self.link.counts().down_bytes
        crowd = self._download(clients, source.randbytes(size_bytes))
        crossed = self.link.counts().down_bytes - before
        return Round(alone, crowd, crossed / size_bytes)

    def _download(self, clients: int, blob: bytes) -> Crowd:
        digest = self.publisher.push_blob(blob)["digest"]
        url = Client(self.answerer, REPOSITORY).url(f"blobs/{digest}")
        return self.client.download(url, clients)


class Crowd16:
    """As many clients as a rollout on a few nodes; and what the stock registry makes of them."""

    name = "crowd-16"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the ratios of bytes over the link, wall time and first byte, and the peer's."""
        with _stages(lab.room(self.name)) as (ours, theirs):
            rounds = [ours.play(16, lab.cold_blob_bytes, seed) for seed in range(lab.rounds)]
            stock = theirs.play(16, lab.cold_blob_bytes, seed=lab.rounds)
        wall = median(one.wall_ratio for one in rounds)
        crowd_seconds = median(one.crowd.wall_seconds for one in rounds)
        alone_seconds = median(one.alone.wall_seconds for one in rounds)
        yield _link_bytes("16 clients, one cold blob", rounds)
        yield Measurement(
            "16 clients, one cold blob: wall time of all",
            wall,
            at_most(1.15),
            f"{show_seconds(crowd_seconds)} beside {show_seconds(alone_seconds)} of one client",
        )
        yield _first_byte("16 clients, one cold blob", rounds)
        yield Measurement(
            "the same with the stock registry's proxy mode: link bytes",
            stock.link_ratio,
            for_comparison(),
            f"{show_seconds(stock.crowd.wall_seconds)}, {stock.wall_ratio:.1f}x of one client",
        )


class Crowd1000:
    """As many clients as a large cluster; the blob is small, so that first bytes count."""

    name = "crowd-1000"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the ratios of bytes over the link and first byte, and the tail's lateness."""
        with _stages(lab.room(self.name)) as (ours, _):
            rounds = [ours.play(1000, _MANY_BLOB_BYTES, seed) for seed in range(lab.rounds)]
        yield _link_bytes("1000 clients, one cold blob", rounds)
        yield _first_byte("1000 clients, one cold blob", rounds)
        yield Measurement(
            "1000 clients, one cold blob: first byte p99 beyond 1.5x",
            median(one.first_byte_p99_late_ms for one in rounds),
            at_most(250, "ms"),
            f"all done in {show_seconds(median(one.crowd.wall_seconds for one in rounds))}",
        )


@contextmanager
def _stages(room: Path) -> Iterator[tuple[Stage, Stage]]:
    """Give the replica's stage and that of the stock registry's proxy mode, over one link."""
    with ExitStack() as stack:
        primary = stack.enter_context(StockRegistry(room / "primary", name="primary"))
        link = stack.enter_context(LinkProgram(parse_address(primary.address), LINK, room))
        replica = stack.enter_context(
            Replica(room / "replica", primary=primary.url, connect_to=link.address)
        )
        proxy = stack.enter_context(
            StockRegistry(room / "proxy", name="proxy", proxy_of=f"http://{link.address}")
        )
        client, publisher = CrowdClient(room), Client(primary.url, REPOSITORY)
        yield (
            Stage(client, publisher, link, replica.url),
            Stage(client, publisher, link, proxy.url),
        )


def _link_bytes(who: str, rounds: list[Round]) -> Measurement:
    worst = max(one.link_ratio for one in rounds)
    return Measurement(
        f"{who}: link bytes", worst, at_most(_ONCE), "the worst round; headers count too"
    )


def _first_byte(who: str, rounds: list[Round]) -> Measurement:
    crowd = median(one.crowd.first_byte_seconds for one in rounds)
    alone = median(one.alone.first_byte_seconds for one in rounds)
    return Measurement(
        f"{who}: first byte, median",
        median(one.first_byte_ratio for one in rounds),
        at_most(1.5),
        f"{show_seconds(crowd)} beside {show_seconds(alone)} of one client",
    )
