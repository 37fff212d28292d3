"""Standing probes: hysteresis, what is excused, and how soon a dead region is seen."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from geo.catalogue import Catalogue
from geo.reading import read_catalogue
from hub.geo.health import Health
from hub.geo.heard import Word
from hub.geo.probe import Canary, Probe
from hub.geo.prober import Prober, Rhythm
from hub.login import Login, realms_of
from proxy.net.origins import AddressPolicy, Origin
from proxy.net.session import Limits, Session
from proxy.oci.reference import Repository, Tag
from tests.hub.api import ManualClock
from tests.hub.geo.catalogues import ADDRESSES, JAKARTA, SINGAPORE, catalogue_text
from tests.hub.geo.region_server import CANARY, NAME, RegionServer, region_server
from tests.support.ports import claimed_port
from tests.support.waiting import eventually

EVERY_SECONDS = 0.3
PRIMARY = Origin.of("https://primary.example.com")


@pytest.fixture
def port() -> Iterator[int]:
    with claimed_port() as claimed:
        yield claimed


@dataclass(slots=True)
class Watch:
    """A prober, what it is told of replicas, and what it said."""

    clock: ManualClock = field(default_factory=ManualClock)
    heard: dict[str, Word] = field(default_factory=dict)
    turns: list[tuple[str, bool]] = field(default_factory=list)
    prober: Prober = field(init=False)

    def note(self, name: str, health: Health) -> None:
        self.turns.append((name, health.is_up))

    async def hear(self, name: str) -> Word:
        return self.heard.get(name, Word.SILENT)

    async def look(self, name: str, times: int = 1) -> Health:
        for _ in range(times):
            await self.prober.look(name)
        return self.prober.health_of(name)


@asynccontextmanager
async def watching(
    port: int, *, fall: int = 2, rise: int = 2, down: tuple[str, ...] = ()
) -> AsyncIterator[Watch]:
    """Give a prober of the regions of the catalogue, whose rounds a test asks for."""
    session = Session(AddressPolicy(ADDRESSES.values()), Limits(EVERY_SECONDS, EVERY_SECONDS))
    canary = Canary(Origin.of(f"http://{NAME}"), port, Repository.parse(CANARY), Tag("1"), Login())
    probe = Probe(session, realms_of(PRIMARY, ()), canary)
    watch, rhythm = Watch(), Rhythm(EVERY_SECONDS, fall, rise)
    watch.prober = Prober(probe, rhythm, watch.hear, watch.note, watch.clock)
    watch.prober.become(read_catalogue(catalogue_text()), down)
    try:
        yield watch
    finally:
        await session.close()


def singapore(port: int, **given: object):
    return region_server(ADDRESSES[SINGAPORE], port, **given)


async def test_a_region_falls_and_rises_by_several_rounds(port):
    """*fall* rounds in a row turn a region, *rise* turn it back; one between begins anew."""
    async with singapore(port) as server, watching(port, fall=3, rise=2) as watch:
        server.status = 503
        assert (await watch.look(SINGAPORE, 2)).is_up
        server.status = 200
        assert (await watch.look(SINGAPORE)).is_up
        server.status = 503
        assert (await watch.look(SINGAPORE, 2)).is_up
        watch.clock.seconds += 60
        fallen = await watch.look(SINGAPORE)
        assert (fallen.is_up, fallen.since) == (False, watch.clock.seconds)
        assert fallen.checks[0].error == "it answered 503"
        server.status = 200
        assert not (await watch.look(SINGAPORE)).is_up
        assert (await watch.look(SINGAPORE)).is_up
        assert watch.turns == [(SINGAPORE, False), (SINGAPORE, True)]


async def test_silence_is_excused_while_the_replica_reports(port):
    """A region that only the hub can't reach stays up; without reports it goes down."""
    async with watching(port) as watch:
        watch.heard[SINGAPORE] = Word.REPORTS
        excused = await watch.look(SINGAPORE, 5)
        assert (excused.is_up, excused.is_excused) == (True, True)
        assert not any(each.as_view().ok for each in excused.checks)
        watch.heard[SINGAPORE] = Word.SILENT
        gone = await watch.look(SINGAPORE, 2)
        assert (gone.is_up, gone.is_excused) == (False, False)
        watch.heard[SINGAPORE] = Word.REPORTS
        assert (await watch.look(SINGAPORE, 2)).is_up


@pytest.mark.parametrize("is_up", [True, False])
async def test_what_the_hub_cant_know_turns_nothing(port, is_up):
    """Silence while the hub couldn't have heard the replica leaves a region up, or down."""
    async with watching(port, down=() if is_up else (SINGAPORE,)) as watch:
        watch.heard[SINGAPORE] = Word.UNKNOWN
        seen = await watch.look(SINGAPORE, 5)
        assert (seen.is_up, seen.is_excused) == (is_up, is_up)
        assert not any(each.as_view().ok for each in seen.checks)
        assert watch.turns == []


async def test_a_wrong_answer_is_never_excused(port):
    """A region that answers wrongly is sick, whatever its replica reports."""
    async with singapore(port, status=503) as server, watching(port) as watch:
        watch.heard[SINGAPORE] = Word.REPORTS
        assert not (await watch.look(SINGAPORE, 2)).is_up
        assert server.asked["manifest"] == 2


async def test_what_was_down_begins_down(port):
    """A region that was down before the hub's restart is up once *rise* rounds say so."""
    async with singapore(port), watching(port, down=(SINGAPORE,)) as watch:
        assert not watch.prober.health_of(SINGAPORE).is_up
        assert watch.prober.health_of(JAKARTA).is_up
        assert (await watch.look(SINGAPORE, 2)).is_up


async def test_a_hanging_region_holds_up_no_round(port):
    """A round ends before the next is due, however long a region takes."""
    async with singapore(port, is_hanging=True) as server, watching(port) as watch:
        began = time.monotonic()
        await watch.look(SINGAPORE)
        assert time.monotonic() - began < 3 * EVERY_SECONDS
        assert server.asked["manifest"] == 1
        assert watch.prober.health_of(SINGAPORE).checks[0].error.startswith("no answer")


def everywhere(port: int) -> list[RegionServer]:
    return [RegionServer(address, port) for address in ADDRESSES.values()]


async def test_a_dead_region_is_seen_within_three_rounds(port):
    """A region that dies is down within 3 x `probe_every`, no other is, and it comes back."""
    servers = everywhere(port)
    async with watching(port) as watch:
        running = asyncio.create_task(watch.prober.run())
        try:
            for each in servers:
                await each.start()
            await eventually(lambda: all(each.asked["manifest"] for each in servers))
            await servers[0].stop()
            died = time.monotonic()
            await eventually(lambda: watch.turns == [(SINGAPORE, False)])
            assert time.monotonic() - died < 3 * EVERY_SECONDS + 1.0  # the machine may be busy
            await servers[0].start()
            await eventually(lambda: watch.turns[1:] == [(SINGAPORE, True)])
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            for each in servers:
                await each.stop()


async def test_a_new_catalogue_moves_the_probes(port):
    """Regions that are gone are probed no more, new ones are, others keep how they stand."""
    whole = read_catalogue(catalogue_text())
    alone = Catalogue((whole.regions[0],), SINGAPORE)
    servers = everywhere(port)
    servers[0].status = 503
    async with watching(port) as watch:
        for each in servers:
            await each.start()
        watch.prober.become(alone)
        running = asyncio.create_task(watch.prober.run())
        try:
            await eventually(lambda: watch.turns == [(SINGAPORE, False)])
            assert not servers[1].asked
            watch.prober.become(whole)
            await eventually(lambda: servers[1].asked["manifest"] and servers[2].asked["manifest"])
            assert not watch.prober.health_of(SINGAPORE).is_up
            watch.prober.become(alone)
            seen, before = servers[1].asked["manifest"], servers[0].asked["manifest"]
            await eventually(lambda: servers[0].asked["manifest"] >= before + 3)
            assert servers[1].asked["manifest"] <= seen + 1
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            for each in servers:
                await each.stop()
    assert watch.turns == [(SINGAPORE, False)]
