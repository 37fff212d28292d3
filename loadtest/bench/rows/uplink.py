"""Twelve regions behind one uplink of the primary, as pushes come in all day: how far behind."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace

from loadtest.bench.client import Pushed, push_layers
from loadtest.bench.lab import LINK, Lab
from loadtest.bench.measurement import Measurement, at_most, for_comparison
from loadtest.bench.world import Plan, World, running
from loadtest.units import show_bytes, show_seconds

_REGIONS = 12
_PUSHES_PER_HOUR, _COMPRESSION = 500, 6
_INTERVAL_SECONDS = 3_600 / _PUSHES_PER_HOUR / _COMPRESSION
_IMAGE_BYTES, _LAYERS = 2_000_000, 4
_UPLINK = replace(LINK, rate_bytes_per_second=40e6)
_LIMIT_SECONDS = 90.0


class Uplink:
    """Time is compressed: pushes come 6 times as often, of images that are 6 times smaller."""

    name = "uplink"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the lag of the slowest hundredth, the last region's, and the bytes that left."""
        with running(Plan(_UPLINK, regions=_REGIONS), lab.room(self.name)) as world:
            world.warm_up()
            before = world.link.counts().down_bytes
            pushed = list(_pushes(world, lab.uplink_pushes))
            lags = [
                [at - each.at for at in world.wait_for(each, _LIMIT_SECONDS)] for each in pushed
            ]
            crossed = world.link.counts().down_bytes - before
        everyone = sorted(lag for of_push in lags for lag in of_push)
        last = sorted(max(of_push) for of_push in lags)
        what = f"{_REGIONS} regions, one uplink, {_PUSHES_PER_HOUR} pushes an hour"
        yield Measurement(
            f"{what}: lag p99",
            everyone[int((len(everyone) - 1) * 0.99)] * 1000,
            for_comparison("ms"),
            f"median {show_seconds(everyone[len(everyone) // 2])}; {len(pushed)} pushes,"
            f" one each {show_seconds(_INTERVAL_SECONDS)} (time compressed {_COMPRESSION}x)",
        )
        yield Measurement(
            f"{what}: a push until the last region has it, median",
            last[len(last) // 2] * 1000,
            for_comparison("ms"),
            f"the slowest {show_seconds(last[-1])}",
        )
        yield Measurement(
            f"{what}: bytes out of the primary, of each image in each region",
            crossed / (_IMAGE_BYTES * len(pushed) * _REGIONS),
            at_most(1.02),
            f"{show_bytes(crossed)}; headers, manifests and tokens count too",
        )


def _pushes(world: World, count: int) -> Iterator[Pushed]:
    publisher, began_at = world.publisher(), time.monotonic()
    for number in range(count):
        due_at = began_at + number * _INTERVAL_SECONDS
        time.sleep(max(0.0, due_at - time.monotonic()))
        layers = push_layers(publisher, _IMAGE_BYTES, _LAYERS, random.Random(number))
        yield publisher.push_index(f"hourly{number}", layers)
