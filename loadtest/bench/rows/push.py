"""After a push through the replica: what is fetched back from the primary."""

import random
from collections.abc import Iterator
from contextlib import ExitStack

from loadtest.address import parse_address
from loadtest.bench.client import Client
from loadtest.bench.lab import LINK, Lab
from loadtest.bench.measurement import Measurement, at_most
from loadtest.programs import LinkProgram, Replica, StockRegistry
from loadtest.tiny.fixed import REPOSITORY

_LAYER_BYTES = (8_000_000, 2_000_000, 500_000)
_HEADERS_BYTES = 8_000  # answers without a blob; the smallest layer is far larger


class PushedBack:
    """An image pushed through the replica and pulled there by tag, all of it."""

    name = "push"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the blob bytes that came over the link towards the region."""
        room = lab.room(self.name)
        with ExitStack() as stack:
            primary = stack.enter_context(StockRegistry(room / "primary", name="primary"))
            link = stack.enter_context(LinkProgram(parse_address(primary.address), LINK, room))
            replica = stack.enter_context(
                Replica(room / "replica", primary=primary.url, connect_to=link.address)
            )
            client = Client(replica.url, REPOSITORY)
            source = random.Random(1)
            layers = [client.push_blob(source.randbytes(size)) for size in _LAYER_BYTES]
            client.push_image("pushed", layers)
            before = link.counts().down_bytes
            client.get("manifests/pushed")
            pulled = sum(len(client.get(f"blobs/{layer['digest']}").body) for layer in layers)
            came_bytes = link.counts().down_bytes - before
        yield Measurement(
            "pull after a push through the replica: blob bytes fetched back",
            came_bytes if came_bytes > _HEADERS_BYTES else 0,
            at_most(0, "B"),
            f"{pulled:,} B pulled; {came_bytes:,} B of headers came over the link",
        )
