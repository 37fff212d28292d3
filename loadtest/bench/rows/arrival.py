"""A push at the primary until the image is whole in a region: the time, and what crosses the link.

The image is an index with one manifest. Whoever pushes has a link of the same rate, so that blobs
can move while the push goes on, where the primary tells of them.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median

from loadtest.address import parse_address
from loadtest.bench.client import Client, push_layers
from loadtest.bench.lab import LINK, Lab
from loadtest.bench.measurement import Measurement, at_most
from loadtest.bench.world import BLOB_EVENTS, REPOSITORY, Plan, World, running, transfer_seconds
from loadtest.link import LinkSettings
from loadtest.programs import LinkProgram
from loadtest.units import show_bytes, show_seconds

_INDEX_DEPTH = 1
_ROUND_TRIPS = _INDEX_DEPTH + 3
_SLACK_SECONDS = 0.050
_TRANSFER_RATIO = 1.1
_LAYERS = 8
_PROBE_BYTES = 100_000_000
_LARGE_BYTES = 1_000_000_000
_LIMIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Case:
    """What is told of, and how far away the region is."""

    round_trip_seconds: float
    is_ahead: bool

    @property
    def name(self) -> str:
        """How a line calls it."""
        told = "blobs as they are pushed" if self.is_ahead else "no blob before its image"
        return f"{self.round_trip_seconds * 1000:.0f} ms away, {told}"


@dataclass(frozen=True, slots=True)
class Push:
    """One push: how long it took from there, beside what it may take."""

    seconds: float
    missing_bytes: int
    transfer_seconds: float
    bound_seconds: float
    link_ratio: float

    @property
    def ratio(self) -> float:
        """The part of the bound that it took."""
        return self.seconds / self.bound_seconds


class Arrival:
    """Each size in each case; warm connections, a new image each time."""

    name = "arrival"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the time beside its bound, and the bytes beside those of the image."""
        room = lab.room(self.name)
        cases = [Case(far, ahead) for far in (0.040, 0.200) for ahead in (False, True)]
        link_ratios = []
        for number, case in enumerate(cases):
            link = replace(LINK, round_trip_seconds=case.round_trip_seconds)
            plan = Plan(link, ignored_types=() if case.is_ahead else (BLOB_EVENTS,))
            with running(plan, room / str(number)) as world, _pusher(world, link) as pusher:
                world.warm_up()
                for size in lab.image_bytes:
                    rounds = 1 if size >= _LARGE_BYTES else lab.rounds
                    pushes = [_push(world, pusher, case, size, seed) for seed in range(rounds)]
                    yield _row(case, size, pushes)
                    link_ratios += [each.link_ratio for each in pushes if size >= _PROBE_BYTES]
        yield Measurement(
            "image pushed, copied to a region: bytes over the link",
            max(link_ratios),
            at_most(1.005),
            f"the worst of {len(link_ratios)} images; manifests, events and headers count too",
        )


@contextmanager
def _pusher(world: World, link: LinkSettings) -> Iterator[Client]:
    """Give a client that pushes at the rate of *link*."""
    near = replace(link, round_trip_seconds=0.0)
    folder = world.link.log.parent
    with LinkProgram(parse_address(world.primary.address), near, folder, name="pusher") as way:
        yield Client(f"http://{way.address}", REPOSITORY)


def _push(world: World, pusher: Client, case: Case, size_bytes: int, seed: int) -> Push:
    before = world.link.counts().down_bytes
    layers = push_layers(pusher, size_bytes, _LAYERS, random.Random(f"{size_bytes} {seed}"))
    pushed = pusher.push_index(f"s{size_bytes}-{seed}", layers)
    came = world.link.counts().down_bytes - before
    (complete_at,) = world.wait_for(pushed, _LIMIT_SECONDS)
    crossed = world.link.counts().down_bytes - before
    missing = max(0, size_bytes - came)
    probe = min(size_bytes, _PROBE_BYTES)
    transfer = transfer_seconds(world, probe, seed) * missing / probe
    bound = _TRANSFER_RATIO * transfer + _ROUND_TRIPS * case.round_trip_seconds + _SLACK_SECONDS
    return Push(complete_at - pushed.at, missing, transfer, bound, crossed / size_bytes)


def _row(case: Case, size_bytes: int, pushes: list[Push]) -> Measurement:
    seconds, transfer, bound, missing = (
        median(values)
        for values in zip(
            *((p.seconds, p.transfer_seconds, p.bound_seconds, p.missing_bytes) for p in pushes),
            strict=True,
        )
    )
    return Measurement(
        f"{show_bytes(size_bytes)} pushed until complete, {case.name}",
        median(push.ratio for push in pushes),
        at_most(1.0),
        f"{show_seconds(seconds)} of {show_seconds(bound)}: {_TRANSFER_RATIO} x"
        f" {show_seconds(transfer)} for the {show_bytes(int(missing))} missing,"
        f" {_ROUND_TRIPS} round trips, {_SLACK_SECONDS * 1000:.0f} ms",
    )
