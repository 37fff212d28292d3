"""A cold blob for one client: time and first byte beside a direct download over the same link."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median

from loadtest.address import parse_address
from loadtest.bench.client import Client
from loadtest.bench.curl import Transfer, download_in_turn
from loadtest.bench.lab import LINK, Lab
from loadtest.bench.measurement import Measurement, at_most, for_comparison
from loadtest.bench.peers import median_ratio
from loadtest.programs import LinkProgram, Replica, StockRegistry
from loadtest.tiny.fixed import REPOSITORY
from loadtest.units import show_bytes, show_seconds


class ColdBlob:
    """Each round has a blob of its own; every client has a connection that has been used."""

    name = "cold-blob"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the ratio of times, the difference of first bytes, and the stock proxy's ratio."""
        room = lab.room(self.name)
        with ExitStack() as stack:
            primary = stack.enter_context(StockRegistry(room / "primary", name="primary"))
            link = stack.enter_context(LinkProgram(parse_address(primary.address), LINK, room))
            places = {
                "direct": f"http://{link.address}",
                "replica": stack.enter_context(
                    Replica(room / "replica", primary=primary.url, connect_to=link.address)
                ).url,
                "stock proxy": stack.enter_context(
                    StockRegistry(room / "proxy", name="proxy", proxy_of=f"http://{link.address}")
                ).url,
            }
            publisher = Client(primary.url, REPOSITORY)
            times = take_turns(publisher, places, lab.rounds, lab.cold_blob_bytes)
        yield from _compare(lab, times)


def take_turns(
    publisher: Client, places: dict[str, str], rounds: int, blob_bytes: int
) -> dict[str, list[Transfer]]:
    """Pull a new blob from each place in each round; give the transfers by place."""
    source = random.Random(1)
    times: dict[str, list[Transfer]] = {name: [] for name in places}
    for number in range(rounds):
        layer = publisher.push_blob(source.randbytes(blob_bytes))
        publisher.push_image(f"round{number}", [layer])
        for name, place in places.items():
            client = Client(place, REPOSITORY)
            manifest = client.url(f"manifests/round{number}")
            times[name].append(download_in_turn([manifest, client.url(f"blobs/{layer['digest']}")]))
    return times


def _compare(lab: Lab, times: dict[str, list[Transfer]]) -> Iterator[Measurement]:
    seconds = {name: median(t.seconds for t in turns) for name, turns in times.items()}
    first = {name: median(t.first_byte_seconds for t in turns) for name, turns in times.items()}
    size = show_bytes(lab.cold_blob_bytes)
    yield Measurement(
        f"cold blob of {size}, one client: time",
        _median_ratio(times, "replica"),
        at_most(1.05),
        f"{show_seconds(seconds['replica'])} beside {show_seconds(seconds['direct'])} directly",
    )
    yield Measurement(
        f"cold blob of {size}, one client: first byte later by",
        (first["replica"] - first["direct"]) * 1000,
        at_most(10, "ms"),
        f"{show_seconds(first['replica'])} beside {show_seconds(first['direct'])} directly",
    )
    yield Measurement(
        "the same with the stock registry's proxy mode: time",
        _median_ratio(times, "stock proxy"),
        for_comparison(),
        f"{show_seconds(seconds['stock proxy'])}, first byte {show_seconds(first['stock proxy'])}",
    )


def _median_ratio(times: dict[str, list[Transfer]], name: str) -> float:
    direct = [transfer.seconds for transfer in times["direct"]]
    return median_ratio([transfer.seconds for transfer in times[name]], direct)
