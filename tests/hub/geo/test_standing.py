"""Regions as a whole hub sees them: probed, excused, told, and remembered over a restart."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hub.app import Hub
from tests.hub.api import Api, ManualClock, serving_hub
from tests.hub.geo.catalogues import ADDRESSES, FRANKFURT, JAKARTA, SINGAPORE, catalogue_file
from tests.hub.geo.region_server import CANARY, RegionServer, region_server
from tests.support.metrics import Metrics
from tests.support.ports import claimed_port
from tests.support.waiting import eventually

EVERY = "200ms"


@pytest.fixture
def port() -> Iterator[int]:
    with claimed_port() as claimed:
        yield claimed


@dataclass(frozen=True, slots=True)
class Jumped:
    """A clock whose time of day was set, long after the hub began."""

    clock: ManualClock
    seconds: float

    def now(self) -> float:
        return self.clock.now() + 60

    def wall(self) -> float:
        return self.clock.wall() + self.seconds


@dataclass(slots=True)
class World:
    """A hub and the regions that it probes."""

    hub: Hub
    api: Api
    servers: dict[str, RegionServer] = field(default_factory=dict)

    async def standings(self) -> dict[str, str]:
        told = (await self.api.ask("GET", "/v1/geo")).expect(200).document
        return dict(told["standings"])

    async def region(self, name: str):
        regions = (await self.api.ask("GET", "/v1/regions")).expect(200).document["regions"]
        return next(each for each in regions if each["name"] == name)

    async def probed(self, name: str, rounds: int = 3) -> None:
        """Wait until a region was looked at again."""
        health = self.hub._geographic._regions.health_of
        seen = [health(name).checks]

        def looked() -> bool:
            if (checks := health(name).checks) is not seen[-1]:
                seen.append(checks)
            return len(seen) > rounds

        await eventually(looked)

    async def turned(self, name: str, *, is_up: bool) -> None:
        health = self.hub._geographic._regions.health_of
        await eventually(lambda: health(name).is_up is is_up)

    async def metrics(self) -> Metrics:
        host, port = self.hub.ops_address
        async with self.api.session.get(f"http://{host}:{port}/metrics") as answer:
            return Metrics.parse(await answer.text())


@asynccontextmanager
async def world(
    folder: Path, port: int, *, dead: str = "", clock: ManualClock | None = None
) -> AsyncIterator[World]:
    """Run regions, but for a dead one, and a hub that probes them."""
    async with AsyncExitStack() as stack:
        servers = {
            name: await stack.enter_async_context(region_server(address, port))
            for name, address in ADDRESSES.items()
            if name != dead
        }
        hub, api = await stack.enter_async_context(
            serving_hub(
                folder,
                clock,
                geo__catalogue=str(catalogue_file(folder)),
                geo__probe_every=EVERY,
                geo__port=port,
                geo__tls=False,
                geo__canary=f"{CANARY}:1",
            )
        )
        yield World(hub, api, servers)


async def test_a_sick_region_is_told_and_comes_back(tmp_path, port):
    """A region that answers wrongly is down for DNS servers, operators and metrics, and up again
    when it is well; it isn't the others' matter.
    """
    async with world(tmp_path, port) as here:
        here.servers[JAKARTA].status = 503
        await here.turned(JAKARTA, is_up=False)
        assert await here.standings() == {SINGAPORE: "up", JAKARTA: "down", FRANKFURT: "up"}
        shown = await here.region(JAKARTA)
        assert shown["health"]["checks"][0]["error"] == "it answered 503"
        assert (shown["standing"], shown["health"]["excused"]) == ("down", False)
        metrics = await here.metrics()
        assert metrics.value("proxima_hub_region_up", region=JAKARTA) == 0
        assert metrics.value("proxima_hub_region_up", region=SINGAPORE) == 1
        assert metrics.value("proxima_hub_region_turns_total") == 1
        told = (await here.api.ask("GET", "/v1/explain?reference=shop/api&from=10.2.0.1")).document
        assert told["answer"]["region"] != JAKARTA
        here.servers[JAKARTA].status = 200
        await here.turned(JAKARTA, is_up=True)
        assert (await here.standings())[JAKARTA] == "up"
        here.hub._telemetry.log.flush()
        log = (tmp_path / "hub.jsonl").read_text()
        assert log.index('"region.down"') < log.index('"region.up"')


async def test_a_region_that_reports_is_only_out_of_reach(tmp_path, port):
    """A region whose replica reports isn't dead because the hub can't reach it; once it reports no
    more, it is. A region that has no replica is dead at once.
    """
    async with world(tmp_path, port) as here:
        await here.api.create(SINGAPORE)
        await here.api.report()
        await here.servers[SINGAPORE].stop()
        await here.servers[JAKARTA].stop()
        await here.turned(JAKARTA, is_up=False)
        await eventually(lambda: here.hub._geographic._regions.health_of(SINGAPORE).is_excused)
        await here.probed(SINGAPORE)
        shown = await here.region(SINGAPORE)
        assert (shown["standing"], shown["health"]["excused"]) == ("up", True)
        assert (await here.metrics()).value("proxima_hub_region_excused", region=SINGAPORE) == 1
        here.api.clock.seconds += 1
        await here.turned(SINGAPORE, is_up=False)
        await here.api.report()
        await here.turned(SINGAPORE, is_up=True)


async def test_what_is_down_is_down_after_a_restart(tmp_path, port):
    """A hub that starts while a region is down tells DNS servers so from its first answer on."""
    async with world(tmp_path, port) as here:
        here.servers[JAKARTA].status = 503
        await here.turned(JAKARTA, is_up=False)
        before = (await here.api.ask("GET", "/v1/geo")).document
    async with serving_hub(
        tmp_path, geo__catalogue=str(tmp_path / "regions.toml"), geo__probe_every="10m"
    ) as (_, api):
        assert (await api.ask("GET", "/v1/geo")).document == before


async def test_a_dead_region_stays_down_over_a_restart(tmp_path, port):
    """The silence of a region that is down isn't excused because the hub has just begun."""
    async with world(tmp_path, port) as here:
        await here.api.create(SINGAPORE)
        await here.api.report()
        await here.servers[SINGAPORE].stop()
        here.api.clock.seconds += 1
        await here.turned(SINGAPORE, is_up=False)
    async with world(tmp_path, port, dead=SINGAPORE, clock=here.api.clock) as here:
        await here.probed(SINGAPORE, rounds=5)
        assert (await here.standings())[SINGAPORE] == "down"
        assert (await here.metrics()).value("proxima_hub_region_turns_total") == 0


@pytest.mark.parametrize("seconds", [3600, -3600])
async def test_a_clock_that_jumps_keeps_no_dead_region(tmp_path, port, seconds):
    """A report that is far from the time of day, past or future, excuses no silence."""
    async with world(tmp_path, port) as here:
        await here.api.create(SINGAPORE)
        await here.api.report()
        await here.servers[SINGAPORE].stop()
        await eventually(lambda: here.hub._geographic._regions.health_of(SINGAPORE).is_excused)
        heard = here.hub._geographic._heard
        heard._clock = Jumped(here.api.clock, seconds)
        await here.turned(SINGAPORE, is_up=False)


async def test_a_closed_region_isnt_down(tmp_path, port):
    """A region that refuses the hub's own network is up while its replica reports."""
    async with world(tmp_path, port) as here:
        await here.api.create(SINGAPORE)
        await here.api.report()
        here.servers[SINGAPORE].status = 403
        await here.probed(SINGAPORE)
        shown = await here.region(SINGAPORE)
        assert (shown["standing"], shown["health"]["excused"]) == ("up", True)
        assert "linked" in shown["health"]["checks"][0]["error"]
