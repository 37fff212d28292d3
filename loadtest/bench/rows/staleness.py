"""Tags that move while one notification in ten is lost: how old an answer ever is.

The bound is that of the lease: what an event told of is as old as the event's delay, and what no
event told of is looked at once its last check is older than `tags.idle_verify`.
"""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

from loadtest.address import parse_address
from loadtest.bench.client import Client, push_layers
from loadtest.bench.lab import LINK, Lab
from loadtest.bench.measurement import Measurement, at_most
from loadtest.bench.world import REPOSITORY, Plan, World, running
from loadtest.programs import ProgramFailed
from loadtest.units import show_seconds

_SEED = 20_240_604
_ONE_IN = 10
_TAGS, _WATCHERS = 32, 4
_LAYERS, _LAYERS_BYTES, _OF_EACH = 12, 120_000, 4
_VERIFY_SECONDS, _IDLE_SECONDS = 1.0, 3.0
_MOVES_EVERY_SECONDS, _PULLS_EVERY_SECONDS = 3.0, 0.5  # of one tag, on average
_ASK_SECONDS = 10.0
_MEASURING_SECONDS = 0.1  # a push's time, and an answer's, are those that its client saw


class Staleness:
    """Each tag moves every few seconds, and is pulled at random times."""

    name = "staleness"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the largest age of an answer, beside its bound."""
        tags = {"verify_every": f"{_VERIFY_SECONDS:.0f}s", "idle_verify": f"{_IDLE_SECONDS:.0f}s"}
        plan = Plan(replica={"tags": tags}, loses_one_in=_ONE_IN)
        with running(plan, lab.room(self.name)) as world:
            world.warm_up()
            world.regions[0].replica.wait_for_event("lease.granted")
            ages = _watch(world, lab.tag_moves)
            lost = world.way.counts() if world.way else {}
        bound = _IDLE_SECONDS + LINK.round_trip_seconds + _MEASURING_SECONDS
        yield Measurement(
            f"tags under a lease, one notification in {_ONE_IN} lost: the oldest answer",
            max(ages, default=0.0) * 1000,
            at_most(bound * 1000, "ms"),
            f"idle_verify and a round trip; {lab.tag_moves} moves, {lost['lost']} of"
            f" {sum(lost.values())} notifications lost, {len(ages)} answers after a move were old,"
            f" half of them by {show_seconds(sorted(ages)[len(ages) // 2] if ages else 0.0)}",
        )


def _watch(world: World, moves: int) -> list[float]:
    """Move tags and pull them; give how long ago what was answered had been replaced."""
    publisher = world.publisher()
    layers = push_layers(publisher, _LAYERS_BYTES, _LAYERS, random.Random(_SEED))
    watchers = [_Watcher(world, layers, number) for number in range(_WATCHERS)]
    for watcher in watchers:
        watcher.begin()
    if world.way is not None:
        world.way.begin()
    with ThreadPoolExecutor(_WATCHERS) as threads:
        found = list(threads.map(lambda watcher: watcher.run(moves // _WATCHERS), watchers))
    return [age for ages in found for age in ages]


class _Watcher:
    """Moves some tags, each to an image of its own, and pulls them; one after the other."""

    def __init__(self, world: World, layers: list[dict[str, Any]], number: int) -> None:
        self._publisher = world.publisher()
        self._layers = layers
        self._source = random.Random(f"{_SEED} {number}")
        self._tags = [f"w{number}-{tag}" for tag in range(_TAGS // _WATCHERS)]
        self._digests: dict[str, str] = {}
        self._replaced_at: dict[tuple[str, str], float] = {}
        self._address = parse_address(world.regions[0].replica.address)
        self._ages: list[float] = []

    def begin(self) -> None:
        """Push every tag once."""
        for tag in self._tags:
            self._move(tag)

    def run(self, moves: int) -> list[float]:
        """Move tags so often; give the ages of old answers.

        Raises: ProgramFailed: a push or a pull failed.
        """
        rate = len(self._tags) / _PULLS_EVERY_SECONDS
        is_move_of = _PULLS_EVERY_SECONDS / _MOVES_EVERY_SECONDS
        with closing(HTTPConnection(*self._address, timeout=_ASK_SECONDS)) as connection:
            for tag in self._tags:
                self._pull(connection, tag)
            while moves:
                time.sleep(self._source.expovariate(rate))
                tag = self._source.choice(self._tags)
                if self._source.random() < is_move_of:
                    self._move(tag)
                    moves -= 1
                else:
                    self._pull(connection, tag)
        return self._ages

    def _move(self, tag: str) -> None:
        # The order counts, so that a tag hardly ever comes back to an image.
        pushed = self._publisher.push_image(tag, self._source.sample(self._layers, _OF_EACH))
        before = self._digests.get(tag)
        self._digests[tag] = pushed.digest
        if before is not None:
            self._replaced_at[tag, before] = pushed.at
        self._replaced_at.pop((tag, pushed.digest), None)

    def _pull(self, connection: HTTPConnection, tag: str) -> None:
        client = Client("", REPOSITORY)
        connection.request("GET", client.url(f"manifests/{tag}"), headers=client.headers)
        answer = connection.getresponse()
        now = time.time()
        said = answer.read()
        if answer.status != 200:
            raise ProgramFailed(f"{tag}: {answer.status} {said[:200]!r}")
        replaced_at = self._replaced_at.get((tag, answer.headers["Docker-Content-Digest"]))
        if replaced_at is not None:
            self._ages.append(now - replaced_at)
