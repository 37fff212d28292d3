"""Tag pulls while the lease is live: what they ask of the primary."""

import time
from collections.abc import Iterator

from loadtest.bench.client import Client
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, at_most
from loadtest.bench.world import REPOSITORY, Plan, running
from loadtest.bench.wrk import Endpoint, drive
from loadtest.link import LinkCounts
from loadtest.programs import LinkProgram, ProgramFailed

_CONNECTIONS = 8
_QUIET_SECONDS, _POLL_SECONDS, _LIMIT_SECONDS = 0.5, 0.1, 20.0


class Lease:
    """Counted at the link to the primary; the hub is reached over another one."""

    name = "lease"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the bytes that went towards the primary during the pulls."""
        room = lab.room(self.name)
        with running(Plan(), room) as world:
            world.warm_up()
            (region,) = world.regions
            region.replica.wait_for_event("lease.granted")
            client = Client(region.replica.url, REPOSITORY)
            client.get("manifests/warm")
            before = _quiet(world.link)
            endpoint = Endpoint(client.url("manifests/warm"), client.headers)
            pace = drive(endpoint, _CONNECTIONS, lab.window_seconds, room)
            after = world.link.counts()
        pulls = pace.requests_per_second * lab.window_seconds
        yield Measurement(
            "tag pulls under a lease: bytes sent to the primary",
            after.up_bytes - before.up_bytes,
            at_most(0, "B"),
            f"{pulls:,.0f} pulls, {pace.requests_per_second:,.0f}/s;"
            f" {after.connections - before.connections} connections to the primary",
        )


def _quiet(link: LinkProgram) -> LinkCounts:
    """Give the counts once nothing has entered for a while.

    Raises: ProgramFailed: something always does.
    """
    deadline = time.monotonic() + _LIMIT_SECONDS
    counts, since = link.counts(), time.monotonic()
    while time.monotonic() < since + _QUIET_SECONDS:
        if time.monotonic() > deadline:
            raise ProgramFailed("the link to the primary is never quiet")
        time.sleep(_POLL_SECONDS)
        if (now := link.counts()) != counts:
            counts, since = now, time.monotonic()
    return counts
