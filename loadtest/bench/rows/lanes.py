"""A cold blob over a link where one connection gets an eighth of the rate."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from statistics import median

from loadtest.address import parse_address
from loadtest.bench.client import Client
from loadtest.bench.curl import Transfer
from loadtest.bench.lab import LINK, Lab
from loadtest.bench.measurement import Measurement, at_least
from loadtest.bench.rows.cold import take_turns
from loadtest.programs import LinkProgram, Replica, StockRegistry
from loadtest.tiny.fixed import REPOSITORY
from loadtest.units import show_bytes, show_seconds

SHARE = 8
BLOB_BYTES = 100_000_000


class SharedLink:
    """One replica that never saw this link before, for one blob; then one that knows it."""

    name = "lanes"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give how many times faster than a single connection a cold blob comes."""
        room = lab.room(self.name)
        rate = LINK.rate_bytes_per_second or 0.0
        slow = replace(LINK, connection_rate_bytes_per_second=rate / SHARE)
        with ExitStack() as stack:
            primary = stack.enter_context(StockRegistry(room / "primary", name="primary"))
            link = stack.enter_context(LinkProgram(parse_address(primary.address), slow, room))
            replica = stack.enter_context(
                Replica(room / "replica", primary=primary.url, connect_to=link.address)
            )
            places = {"direct": f"http://{link.address}", "replica": replica.url}
            publisher = Client(primary.url, REPOSITORY)
            times = take_turns(publisher, places, max(2, lab.rounds - 1), BLOB_BYTES)
        yield _row("nothing known of the link", times["direct"][:1], times["replica"][:1])
        yield _row("the link is known", times["direct"][1:], times["replica"][1:])


def _row(what: str, direct: list[Transfer], replica: list[Transfer]) -> Measurement:
    alone, ours = (median(t.seconds for t in turns) for turns in (direct, replica))
    return Measurement(
        f"cold blob of {show_bytes(BLOB_BYTES)}, a connection gets 1/{SHARE} of the link, {what}",
        alone / ours,
        at_least(5.0),
        f"{show_seconds(ours)} beside {show_seconds(alone)} over one connection",
    )
