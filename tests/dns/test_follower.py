"""Following the hub: each state once, the last one kept, trouble said and outlived."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hub.dns import follower as module
from hub.dns.follower import Follower
from hub.dns.kept import StateFile
from hub.dns.source import following_limits
from hub.dns.state import GeoState
from proxy.net.hub import HubAddress, HubClient
from proxy.telemetry.logs import EventLog
from tests.dns.stub_hub import StubHub, geo_document
from tests.support.waiting import eventually


class Following:
    """A follower that runs, and the states it gave."""

    def __init__(self, client: HubClient, file: StateFile, log: Path) -> None:
        self.taken: list[GeoState] = []
        self.time = 1_000.0
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.log = EventLog(descriptor)
        self.follower = Follower(client, file, self._take, self.log, lambda: self.time)

    async def _take(self, state: GeoState) -> None:
        self.taken.append(state)

    @property
    def revisions(self) -> list[str]:
        return [state.revision for state in self.taken]


@asynccontextmanager
async def following(hub: StubHub, folder: Path) -> AsyncIterator[Following]:
    """Follow a hub for the length of the block."""
    client = HubClient(HubAddress(hub.url, folder / "token"), "test", following_limits(60))
    made = Following(client, StateFile(folder / "state.json"), folder / "log")
    await made.follower.begin()
    running = asyncio.create_task(made.follower.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await client.close()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch, token_file: Path) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(module, "LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(module, "SAME_PAUSE_SECONDS", 0.01)


async def test_each_change_is_taken_once(hub: StubHub, tmp_path: Path) -> None:
    """The long poll brings a change at once, and one question waits for the next."""
    async with following(hub, tmp_path) as made:
        await eventually(lambda: made.revisions == ["r1"])
        hub.stand(ap_tokyo="down")
        await eventually(lambda: made.revisions == ["r1", "r2"])
        await eventually(lambda: len(hub.asked) == 3)
        assert [each.get("after") for each in hub.asked] == [None, "r1", "r2"]
        assert all(float(each["timeout"]) <= 55 for each in hub.asked)
        assert made.follower.trouble == ""


async def test_a_start_without_the_hub_goes_on_from_the_file(hub: StubHub, tmp_path: Path) -> None:
    """The kept state is in use at once, its age tells, and the hub's next one replaces it."""
    StateFile(tmp_path / "state.json").write(geo_document(revision="r7"), 400.0)
    hub.stop()
    async with following(hub, tmp_path) as made:
        assert made.revisions == ["r7"]
        assert made.follower.age_seconds == 600.0
        await eventually(lambda: "reached" in made.follower.trouble or made.follower.trouble)
        hub.document = geo_document(revision="r8")
        hub.start()
        await eventually(lambda: made.revisions == ["r7", "r8"])
        assert made.follower.age_seconds == 0.0
        await eventually(lambda: made.follower.trouble == "")


async def test_a_file_from_the_future_ages(hub: StubHub, tmp_path: Path) -> None:
    """A state kept when the clock was ahead gets older from the start on: alerts go by its age."""
    StateFile(tmp_path / "state.json").write(geo_document(revision="r7"), 9_000.0)
    hub.stop()
    async with following(hub, tmp_path) as made:
        made.time += 60
        assert made.follower.age_seconds == 60.0


async def test_a_state_of_many_megabytes_is_followed(hub: StubHub, tmp_path: Path) -> None:
    """As many regions and networks as the hub takes arrive; the file can hold them as well."""
    hub.document = geo_document(more="x" * (2 << 20))
    async with following(hub, tmp_path) as made:
        await eventually(lambda: made.revisions == ["r1"])


async def test_a_damaged_file_is_told_and_replaced(hub: StubHub, tmp_path: Path) -> None:
    """A start with half a file is a start without one."""
    (tmp_path / "state.json").write_text('{"confirmed_at": 1')
    async with following(hub, tmp_path) as made:
        await eventually(lambda: made.revisions == ["r1"])
        made.log.flush()
        assert "geo.kept_state_unusable" in (tmp_path / "log").read_text()
    kept = StateFile(tmp_path / "state.json").read()
    assert kept is not None
    assert kept.state.revision == "r1"


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"<html>", 200, "JSON"),
        (b"[]", 200, "JSON"),
        (b"{}", 200, "revision"),
        (b'{"revision": "r9", "catalogue": {}}', 200, "catalogue"),
        (b"", 500, "500"),
        (b"", 401, "401"),
    ],
)
async def test_what_cant_be_used_changes_nothing(
    hub: StubHub, tmp_path: Path, body: bytes, status: int, told: str
) -> None:
    """The state in use stays, in memory and on disk; why is told; a good one ends the trouble."""
    async with following(hub, tmp_path) as made:
        await eventually(lambda: made.revisions == ["r1"])
        before = (tmp_path / "state.json").read_bytes()
        hub.body, hub.status = body, status
        hub.stand(ap_tokyo="down")
        await eventually(lambda: told in made.follower.trouble)
        assert made.revisions == ["r1"]
        assert (tmp_path / "state.json").read_bytes() == before
        hub.body, hub.status = None, 200
        hub.say()
        await eventually(lambda: made.revisions == ["r1", "r3"])
        assert made.follower.trouble == ""


async def test_a_disk_that_takes_nothing_stops_nothing(hub: StubHub, tmp_path: Path) -> None:
    """The state is used though it can't be kept, and the log says so."""
    (tmp_path / "state.json").mkdir()
    async with following(hub, tmp_path) as made:
        await eventually(lambda: made.revisions == ["r1"])
        made.log.flush()
        assert "geo.state_not_kept" in (tmp_path / "log").read_text()


async def test_a_hub_that_says_the_same_makes_it_young_again(hub: StubHub, tmp_path: Path) -> None:
    """Age is the time since the hub last said that the state is current, not since it changed."""
    async with following(hub, tmp_path) as made:
        await eventually(lambda: made.revisions == ["r1"])
        made.time += 50
        assert made.follower.age_seconds == 50.0
        await eventually(lambda: hub.asked[-1].get("after") == "r1")
        hub.say(revision="r1")
        await eventually(lambda: made.follower.age_seconds == 0.0)
        assert made.revisions == ["r1"]
