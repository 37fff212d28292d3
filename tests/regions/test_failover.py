"""A region that is lost, out of the hub's sight, or drained."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from tests.regions.place import (
    CORE,
    FRANKFURT,
    JAKARTA,
    OPS_PORT,
    PATIENCE_SECONDS,
    SINGAPORE,
    TTL_SECONDS,
)
from tests.support.images import big_image
from tests.support.processes import Completed
from tests.support.waiting import wait_until

PROBE_SECONDS = 2.5
"""Longer than between two reports of a replica, which excuse its region."""
MOVED_SECONDS = 3 * PROBE_SECONDS + TTL_SECONDS
"""Within it the clients of a region that is lost are served elsewhere."""
OTHERS = (JAKARTA, FRANKFURT)
SITES = range(1, 17)
LARGE_BYTES = 6 << 20
SLOW = "8mbit"
LOST_FOR_PROBES = 3
"""One more than take a region down that isn't excused."""


def test_clients_of_a_region_that_is_lost_are_served_elsewhere(regions):
    """Within three probes and a TTL of its end, new pulls of a region's clients succeed in the
    other regions, over which the sites are spread; nobody else is moved. When it is back, its
    clients return to it.
    """
    client = regions.client(SINGAPORE)
    _add_sites(client)
    regions.publish("shop/during:1")
    regions.publish("shop/back:1")

    killed_at = time.monotonic()
    regions.replica(SINGAPORE).kill()
    assert client.inspect("shop/during:1").status != 0, "it is lost"
    wait_until(
        lambda: client.inspect("shop/during:1").status == 0,
        MOVED_SECONDS + PATIENCE_SECONDS,
        "a pull elsewhere",
    )
    print(f"served elsewhere after {time.monotonic() - killed_at:.1f} s")
    assert SINGAPORE.name not in regions.served_by("shop/during")

    assert {_only(client.dig("-b", site)) for site in _sites()} == {each.address for each in OTHERS}
    for place in OTHERS:
        assert regions.client(place).dig() == [place.address]
    assert regions.nowhere.dig() == [FRANKFURT.address]

    regions.replica(SINGAPORE).start()
    regions.wait_answers(client, [SINGAPORE], MOVED_SECONDS + PATIENCE_SECONDS)
    client.inspect("shop/back:1").check()
    assert regions.served_by("shop/back") == {SINGAPORE.name}


def test_a_region_that_only_the_hub_cannot_reach_stays(regions):
    """While its replica reports in, a region whose probes get no answer is excused: it stays up,
    and its clients stay there.
    """
    regions.publish("shop/unseen:1")
    hub = CORE.partition("/")[0]
    regions.hosts.drop(hub, SINGAPORE.address, ports=(443, OPS_PORT))
    try:
        silent = _wait_probes(regions, LOST_FOR_PROBES)
        assert silent["standing"] == "up"
        assert silent["health"]["is_up"]
        wait_until(lambda: regions.region(SINGAPORE)["health"]["excused"], 10.0, "excused")
        client = regions.client(SINGAPORE)
        client.inspect("shop/unseen:1").check()
        assert regions.served_by("shop/unseen") == {SINGAPORE.name}
    finally:
        regions.hosts.pass_all()
    wait_until(lambda: not regions.region(SINGAPORE)["health"]["excused"], 10.0, "seen again")


def test_a_drained_region_finishes_and_replicates(regions):
    """A region that is drained gets no new clients, finishes the pull that it serves, and gets
    what is pushed; resumed, it has its clients again.
    """
    client = regions.client(SINGAPORE)
    regions.publish("shop/large:1", big_image(LARGE_BYTES))
    with _slow_pull(regions, client, "shop/large:1") as pull:
        wait_until(lambda: regions.pulls("shop/large")[SINGAPORE.name], 10.0, "it began")
        regions.proxima("drain", SINGAPORE.name).check()
        regions.wait_answers(client, OTHERS)
        assert not pull.done(), "the pull was over before the region was drained"
        assert regions.region(SINGAPORE)["standing"] == "drained"
        pull.result().check()
    assert regions.served_by("shop/large") == {SINGAPORE.name}

    regions.publish("shop/pushed:1")
    wait_until(lambda: regions.has(SINGAPORE, "shop/pushed:1"), 20.0, "it is replicated")

    regions.proxima("resume", SINGAPORE.name).check()
    regions.wait_answers(client, [SINGAPORE])


def _add_sites(client):
    for site in _sites():
        client.host.add_address(f"{site}/16")


def _sites() -> list[str]:
    return [f"10.1.{number}.50" for number in SITES]


def _only(addresses):
    (address,) = addresses
    return address


def _wait_probes(regions, rounds):
    """Wait until every check of Singapore has failed in that many rounds; give how it stands."""
    seen: set[float] = set()

    def have_failed():
        region = regions.region(SINGAPORE)
        checks = region["health"]["checks"]
        assert len(checks) == 2
        if any(each["ok"] for each in checks):
            return None
        seen.update(each["at"] for each in checks if each["what"] == "canary")
        return region if len(seen) >= rounds else None

    return wait_until(have_failed, 30.0, "probes without an answer")


@contextmanager
def _slow_pull(regions, client, name) -> Iterator[Future[Completed]]:
    """Pull over a slow link meanwhile."""
    client.host.throttle(SLOW)
    try:
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(client.pull, name, regions.files.folder / "slow")
    finally:
        client.host.unthrottle()
