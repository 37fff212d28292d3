"""Many pushes at once of images that share layers: all arrive, and no blob comes twice."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from loadtest.bench.client import Client, Pushed, push_layers
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, at_most
from loadtest.bench.world import REPOSITORY, Plan, Region, running
from loadtest.units import show_seconds

_SEED = 20_240_602
_SHARED, _SHARED_BYTES = 60, 50_000
_OF_EACH = 5
_OWN_BYTES = 1_000
_PUSHERS = 8
_LIMIT_SECONDS = 180.0
_TAGS = f"docker/registry/v2/repositories/{REPOSITORY}/_manifests/tags"


class Burst:
    """Each image has five of sixty layers that are shared, and one of its own."""

    name = "burst"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give how many tags aren't here as they were pushed, and how many blobs came twice."""
        pushes = lab.burst_pushes
        with running(Plan(), lab.room(self.name)) as world:
            shared = push_layers(
                world.publisher(), _SHARED * _SHARED_BYTES, _SHARED, random.Random(_SEED)
            )
            began_at = time.time()
            pushed = _push_all(world.publisher(), shared, pushes)
            (region,) = world.regions
            wanted = [(each.reference, each.digest) for each in pushed]
            arrivals = region.arrivals.wait_for(wanted, _LIMIT_SECONDS)
            lost = sum(_tag(region, each.reference) != each.digest for each in pushed)
            fetched = world.primary.requests("GET", "/blobs/sha256:")
        last_push = max(each.at for each in pushed)
        last_arrival = max(each.at for each in arrivals)
        yield Measurement(
            f"{pushes:,} pushes in a burst, shared layers: tags that aren't as they were pushed",
            lost,
            at_most(0, "tags"),
            f"pushed within {show_seconds(last_push - began_at)}, all complete"
            f" {show_seconds(max(0.0, last_arrival - last_push))} later",
        )
        yield Measurement(
            f"{pushes:,} pushes in a burst, shared layers: blobs fetched more than once",
            sum(count > 1 for count in fetched.values()),
            at_most(0, "blobs"),
            f"{fetched.total():,} requests for {len(fetched):,} blobs at the primary;"
            f" {region.arrivals.failures} copies were tried again",
        )


def _push_all(publisher: Client, shared: list[dict[str, Any]], pushes: int) -> list[Pushed]:
    def push(number: int) -> Pushed:
        source = random.Random(_SEED + number)
        own = publisher.push_blob(source.randbytes(_OWN_BYTES))
        return publisher.push_image(f"burst{number}", [own, *source.sample(shared, _OF_EACH)])

    with ThreadPoolExecutor(_PUSHERS) as pushers:
        return list(pushers.map(push, range(pushes)))


def _tag(region: Region, tag: str) -> str:
    """Give the digest of a tag in the store's tree; empty: it isn't there."""
    link: Path = region.replica.store / _TAGS / tag / "current" / "link"
    return link.read_text().strip() if link.exists() else ""
