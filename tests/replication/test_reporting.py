"""Reports: all is told in the end, and what the hub can't use stands in nobody's way."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from proxy.net.hub import HubRefused, HubUnavailable
from proxy.oci.errors import RegistryError
from proxy.oci.reference import Tag
from proxy.registry.sidecar import Sidecar
from proxy.replication.backfill import BackfillStatus
from proxy.replication.history import History
from proxy.replication.load import Load
from proxy.replication.reporting import MAX_ENTRIES, Reporter
from proxy.replication.status import Phase, Status
from proxy.replication.work import Job, Kind, Target, Trigger
from tests.registry_store.ground import A, Heard

NO_BACKFILL = BackfillStatus(True, 0, 0, 0, None, None)
DAY_SECONDS = 86_400.0
LOAD = Load(3, 1024.0)


def rejection(status: int) -> HubUnavailable:
    error = HubUnavailable(f"the hub answered {status}")
    error.is_rejection = True
    return error


@dataclass(slots=True)
class ReportedHub:
    """Keeps the tags it was told, unless `objection` has one to a report; `sizes` are of all."""

    objection: Callable[[list[str]], RegistryError | None] = lambda _: None
    taken: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    async def post(self, target: str, document: Any) -> dict[str, Any]:
        assert target == "/v1/reports"
        assert document["status"]["state"] == Phase.RUNNING
        assert document["status"]["load"] == {"connections": 3, "bytes_per_second": 1024.0}
        tags = [entry["tag"] for entry in document["entries"]]
        self.sizes.append(len(tags))
        if (error := self.objection(tags)) is not None:
            raise error
        self.taken += tags
        return {"kept": len(tags), "refused": []}


@dataclass(slots=True)
class World:
    """A reporter and what it tells to whom."""

    history: History
    hub: ReportedHub
    reporter: Reporter

    def work(self, number: int) -> list[str]:
        """Note so many pieces of work; give their tags."""
        tags = [f"v{each}" for each in range(number)]
        for made, tag in enumerate(tags):
            target = Target(Kind.TAG, A, Tag(tag))
            self.history.began(Job(target, Trigger.EVENT, 1.0, made=made))
        return tags

    async def tell_all(self, most: int) -> None:
        """Report until there is no more; a bound on how often."""
        for _ in range(most):
            if not await self.reporter.report():
                return
        pytest.fail(f"not told after {most} reports: {self.hub.sizes}")

    async def untold(self) -> int:
        return len(await self.history.unreported(MAX_ENTRIES * 10))


@pytest.fixture
async def world(tmp_path: Path, heard: Heard) -> AsyncIterator[World]:
    async def status() -> Status:
        return Status(Phase.RUNNING, None, 0.0, 0, 0, None, 0, NO_BACKFILL, 1.0)

    sidecar = Sidecar(tmp_path / "sidecar.sqlite")
    await sidecar.open()
    history = History(sidecar, lambda: 2.0, DAY_SECONDS)
    hub = ReportedHub()
    yield World(history, hub, Reporter(hub, history, status, lambda: LOAD, heard.telemetry.log))
    await sidecar.close()


async def test_what_is_too_much_goes_in_parts(world: World, heard: Heard):
    """A report that is too large for the hub (413) arrives in smaller ones, said once."""
    tags = world.work(MAX_ENTRIES)
    world.hub.objection = lambda told: rejection(413) if len(told) > 100 else None
    await world.tell_all(40)
    assert world.hub.taken == tags
    assert world.hub.sizes[:4] == [500, 0, 250, 0], "the status goes by itself first"
    assert await world.untold() == 0
    assert heard.events("report.rejected")[0]["error"] == "the hub answered 413"
    assert heard.events("report.refused") == []


async def test_an_entry_that_cant_be_used_holds_up_no_other(world: World, heard: Heard):
    """What is rejected alone (400) is told no more; all others arrive."""
    tags = world.work(20)
    world.hub.objection = lambda told: rejection(400) if "v7" in told else None
    await world.tell_all(40)
    assert sorted(world.hub.taken) == sorted(set(tags) - {"v7"})
    assert await world.untold() == 0
    assert len(heard.events("report.rejected")) == 1
    assert len(heard.events("report.refused")) == 1


async def test_after_a_while_reports_are_large_again(world: World):
    """One bad entry makes the reports behind it no smaller for good."""
    world.work(MAX_ENTRIES)
    world.hub.objection = lambda told: rejection(400) if "v0" in told else None
    await world.tell_all(60)
    world.hub.sizes.clear()
    world.work(MAX_ENTRIES)
    world.hub.objection = lambda _: None
    await world.tell_all(5)
    assert max(world.hub.sizes) > MAX_ENTRIES / 2


@pytest.mark.parametrize("error", [rejection(400), HubUnavailable(), HubRefused()])
async def test_a_hub_that_takes_nothing_hears_all_of_it_later(world: World, error: RegistryError):
    """Where the status isn't taken either, the entries aren't at fault: none is dropped."""
    tags = world.work(3)
    world.hub.objection = lambda _: error
    for _ in range(5):
        with pytest.raises(type(error)):
            await world.reporter.report()
    assert await world.untold() == 3
    world.hub.objection = lambda _: None
    await world.tell_all(3)
    assert world.hub.taken == tags
