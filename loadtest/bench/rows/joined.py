"""Clients that pull an image while it is being copied: what crosses the link for all of them."""

import random
from collections.abc import Iterator
from statistics import median

from loadtest.bench.client import Client, push_layers
from loadtest.bench.curl import download_at_once
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, at_most
from loadtest.bench.world import BLOB_EVENTS, REPOSITORY, Plan, World, running
from loadtest.units import show_bytes, show_seconds

_CLIENTS = 20
_LAYERS = 8
_IMAGE_BYTES = 100_000_000
_LIMIT_SECONDS = 60.0


class Joined:
    """They ask for the tag and for all layers at once, when the push has just been accepted."""

    name = "joined"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the bytes over the link beside those of the image."""
        with running(Plan(ignored_types=(BLOB_EVENTS,)), lab.room(self.name)) as world:
            world.warm_up()
            rounds = [_round(world, seed) for seed in range(lab.rounds)]
        yield Measurement(
            f"{show_bytes(_IMAGE_BYTES)} copied while {_CLIENTS} clients pull it: link bytes",
            max(ratio for ratio, _, _ in rounds),
            at_most(1.005),
            f"the worst round; complete after {show_seconds(median(r[1] for r in rounds))},"
            f" all clients after {show_seconds(median(r[2] for r in rounds))}",
        )


def _round(world: World, seed: int) -> tuple[float, float, float]:
    """Give the ratio of bytes, and the seconds until the image and until all clients were done."""
    publisher = world.publisher()
    before = world.link.counts().down_bytes
    layers = push_layers(publisher, _IMAGE_BYTES, _LAYERS, random.Random(seed))
    pushed = publisher.push_image(f"joined{seed}", layers)
    replica = world.regions[0].replica
    client = Client(replica.url, REPOSITORY)
    paths = [f"manifests/{pushed.reference}", *(f"blobs/{layer['digest']}" for layer in layers)]
    downloads = download_at_once([client.url(path) for path in paths] * _CLIENTS, replica.store)
    (complete_at,) = world.wait_for(pushed, _LIMIT_SECONDS)
    crossed = world.link.counts().down_bytes - before
    return crossed / _IMAGE_BYTES, complete_at - pushed.at, downloads.wall_seconds
