"""A store smaller than what its primary has: hits under pushes, and hits while contents go."""

import hashlib
import http.client
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import Self

from loadtest.address import parse_address
from loadtest.bench.client import Client
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, at_least, at_most
from loadtest.bench.wrk import Endpoint, drive
from loadtest.programs import ProgramFailed, Replica, StockRegistry, TinyPrimary
from loadtest.tiny.fixed import REPOSITORY, TAG
from loadtest.units import show_seconds

_SEED = 20_240_601
_BLOBS, _BLOB_BYTES = 200, 200_000
_WORKING_SET, _CAPACITY = 0.20, 0.30  # of what the primary has
_PULLS = 2_000

_EVICTED, _EVICTED_BYTES = 10_000, 1_000
_BLOBS_FOLDER = "docker/registry/v2/blobs/sha256"
_LONG_AGO = 1_500_000_000
_NEARLY_ALL, _LIMIT_SECONDS = 0.95, 30.0
_EVICTED_METRIC = "proxima_evicted_contents_total"
_WRITERS = 8
_WINDOW_SECONDS = 3.0  # about as long as they take to go


class HitRate:
    """Pulls of a working set that fits, while others push what nobody pulls."""

    name = "capacity"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the part of the pulls that was served without asking the primary for bytes."""
        room = lab.room(self.name)
        store = {"capacity": int(_CAPACITY * _BLOBS * _BLOB_BYTES)}
        with ExitStack() as stack:
            primary = stack.enter_context(StockRegistry(room / "primary", name="primary"))
            replica = stack.enter_context(
                Replica(room / "replica", primary=primary.url, settings={"store": dict(store)})
            )
            digests = _publish(Client(primary.url, REPOSITORY))
            source = random.Random(_SEED)
            pulled = source.sample(digests, int(_WORKING_SET * _BLOBS))
            client = Client(replica.url, REPOSITORY)
            with _Pushing(Client(replica.url, "pushed/app")) as pushing:
                for digest in _zipf(source, pulled, _PULLS):
                    client.get(f"blobs/{digest}")
            numbers = _metrics(replica)
        fetched = numbers['proxima_fills_total{end="committed"}']
        fetched += numbers['proxima_fills_total{end="uncached"}']
        yield Measurement(
            "pulls of a working set of 20%, capacity 30%, under pushes: hits",
            1 - fetched / _PULLS,
            at_least(0.95),
            f"Zipf, seed {_SEED}: {_PULLS:,} pulls of {len(pulled)} blobs, {pushing.pushed} pushed,"
            f" {numbers[_EVICTED_METRIC]:.0f} evicted",
        )


class Eviction:
    """A warm manifest while ten thousand contents are evicted: its p99 beside idle."""

    name = "eviction"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the ratio of the p99 times, once: it takes longest to lay out the contents."""
        room, size_bytes = lab.room(self.name), _EVICTED * _EVICTED_BYTES
        _put_contents(room / "store" / _BLOBS_FOLDER)
        store: dict[str, object] = {"capacity": size_bytes + 10 * _EVICTED_BYTES}
        with ExitStack() as stack:
            primary = stack.enter_context(TinyPrimary(room, blobs=1, size_bytes=size_bytes))
            replica = stack.enter_context(
                Replica(room, primary=primary.url, settings={"store": store})
            )
            replica.wait_for_event("store.counted")
            client = Client(replica.url, REPOSITORY)
            client.get(f"manifests/{TAG}")
            endpoint = Endpoint(client.url(f"manifests/{TAG}"), client.headers)
            idle = drive(endpoint, 1, _WINDOW_SECONDS, room).p99_seconds
            began_at = time.monotonic()
            with _Pulling(client, primary.blobs[0]):
                evicting = drive(endpoint, 1, _WINDOW_SECONDS, room).p99_seconds
            while (evicted := _metrics(replica)[_EVICTED_METRIC]) < _NEARLY_ALL * _EVICTED:
                if time.monotonic() > began_at + _LIMIT_SECONDS:
                    raise ProgramFailed(f"only {evicted:.0f} contents were evicted")
                time.sleep(0.1)
            seconds = time.monotonic() - began_at
        yield Measurement(
            f"warm manifest while {_EVICTED:,} contents are evicted: p99",
            evicting / idle,
            at_most(2.0),
            f"{show_seconds(evicting)} beside {show_seconds(idle)} idle;"
            f" all went within {show_seconds(seconds)}",
        )


class _Pushing:
    """Pushes one blob after the other for the length of the block."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._push)
        self.pushed = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _push(self) -> None:
        source = random.Random(_SEED + 1)
        while not self._is_over.is_set():
            self._client.push_blob(source.randbytes(_BLOB_BYTES))
            self.pushed += 1


class _Pulling:
    """Pulls one blob beside the block, which ends when it is there."""

    def __init__(self, client: Client, digest: str) -> None:
        self._client, self._digest = client, digest
        self._thread = threading.Thread(target=self._pull)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _pull(self) -> None:
        self._client.get(f"blobs/{self._digest}")


def _publish(client: Client) -> list[str]:
    source = random.Random(_SEED)
    return [client.push_blob(source.randbytes(_BLOB_BYTES))["digest"] for _ in range(_BLOBS)]


def _zipf(source: random.Random, digests: list[str], pulls: int) -> list[str]:
    weights = list(accumulate(1 / rank for rank in range(1, len(digests) + 1)))
    return source.choices(digests, cum_weights=weights, k=pulls)


def _put_contents(folder: Path) -> None:
    """Lay contents into a store's tree that were used long ago; nobody will read them."""
    with ThreadPoolExecutor(_WRITERS) as writers:
        for _ in writers.map(lambda number: _put_content(folder, number), range(_EVICTED)):
            pass


def _put_content(folder: Path, number: int) -> None:
    name = hashlib.sha256(number.to_bytes(8, "big")).hexdigest()
    path = folder / name[:2] / name
    path.mkdir(parents=True)
    (path / "data").write_bytes(bytes(_EVICTED_BYTES))
    os.utime(path / "data", (_LONG_AGO, _LONG_AGO))


def _metrics(replica: Replica) -> dict[str, float]:
    connection = http.client.HTTPConnection(*parse_address(replica.ops))
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}
