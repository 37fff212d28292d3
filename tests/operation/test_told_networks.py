"""Networks that a hub links to a region: what becomes of its word, and of its silence."""

import asyncio
import json
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from proxy.app.told_networks import FILE_NAME, MAX_NETWORKS, KeptNetworks, ToldNetworks
from proxy.net.hub import HubRefused, HubUnavailable
from proxy.oci.errors import OutsideNetworks
from proxy.replication.pace import Pace
from proxy.web.region_access import RegionAccess
from tests.registry_store.ground import Heard, ManualClock
from tests.support.waiting import eventually

LINKED = "192.0.2.0/24"
OTHER = "198.51.100.0/24"
IN_LINKED, IN_OTHER = "192.0.2.7", "198.51.100.7"


@dataclass(slots=True)
class SayingHub:
    """Answers with `said`, or raises it."""

    said: Any = None
    asked: int = 0

    async def get(self, target: str) -> dict[str, Any]:
        assert target == "/v1/self"
        self.asked += 1
        if isinstance(self.said, Exception):
            raise self.said
        return {"epoch": "one", "head": 3, **({} if self.said is None else {"networks": self.said})}


@dataclass(slots=True)
class World:
    """A store's folder, a hub, and the replica that lives now."""

    folder: Path
    heard: Heard
    hub: SayingHub = field(default_factory=SayingHub)
    _lived: list[tuple[RegionAccess, ToldNetworks]] = field(default_factory=list)

    async def live(self) -> None:
        """Start a replica's part of it."""
        spool = self.folder / "spool"
        spool.mkdir(exist_ok=True)
        telemetry = self.heard.telemetry
        access = RegionAccess((), telemetry.log, telemetry.metrics, ManualClock().now)
        kept = KeptNetworks(self.folder, spool)
        told = ToldNetworks(self.hub, kept, access, telemetry.log, Pace(0.01, 0.01))
        self._lived.append((access, told))
        await told.load()

    @property
    def told(self) -> ToldNetworks:
        return self._lived[-1][1]

    @property
    def file(self) -> Path:
        return self.folder / FILE_NAME

    def entered(self) -> list[bool]:
        """Say who may enter: a client of the linked network, of another one."""
        return [self._may_enter(IN_LINKED), self._may_enter(IN_OTHER)]

    def _may_enter(self, client: str) -> bool:
        try:
            self._lived[-1][0].check(client)
        except OutsideNetworks:
            return False
        return True


OPEN, CLOSED, LINKED_ALONE = [True, True], [False, False], [True, False]


@pytest.fixture
def heard() -> Iterator[Heard]:
    found = Heard()
    yield found
    found.close()


@pytest.fixture
def world(tmp_path: Path, heard: Heard) -> World:
    return World(tmp_path, heard)


async def test_the_hub_is_asked_before_the_first_client(world: World):
    """A first start goes by the hub's word at once, and keeps it for the owner's eyes alone."""
    world.hub.said = [LINKED]
    await world.live()
    assert world.entered() == LINKED_ALONE
    assert stat.S_IMODE(world.file.stat().st_mode) == 0o600
    assert json.loads(world.file.read_text()) == {"networks": [LINKED]}


AWAY = [HubUnavailable(), HubRefused(), TimeoutError()]


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
async def test_a_restart_without_the_hub_is_as_closed_as_before(world: World, error: Exception):
    """What was kept counts while the hub is away or refuses: nobody is asked, nothing opens."""
    world.hub.said = [LINKED]
    await world.live()
    world.hub.said = error
    asked = world.hub.asked
    await world.live()
    assert world.entered() == LINKED_ALONE
    assert world.hub.asked == asked


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
async def test_a_first_start_without_the_hub_is_open(world: World, error: Exception):
    """Where nothing was ever known the own settings decide alone, and the log says so."""
    world.hub.said = error
    await world.live()
    assert world.entered() == OPEN
    assert len(world.heard.events("networks.not_told")) == 1


def _folder(path: Path) -> None:
    path.mkdir()


def _link(path: Path) -> None:
    path.symlink_to("/dev/null")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "cut-off": lambda path: path.write_text('{"networks": ["192.0.2.'),
    "no-object": lambda path: path.write_text("[]"),
    "nothing": lambda path: path.write_text("{}"),
    "junk": lambda path: path.write_text('{"networks": ["everything"]}'),
    "deep": lambda path: path.write_text("[" * 100_000),
    "too-long": lambda path: path.write_text('{"networks": [' + " " * (2 << 20) + "]}"),
    "folder": _folder,
    "link": _link,
}


@pytest.mark.parametrize("name", DAMAGES)
async def test_what_cant_be_read_opens_nothing(world: World, name: str):
    """A damaged file closes the region to all whom the own settings don't name, until the hub
    answers; that opens it as far as the hub says.
    """
    DAMAGES[name](world.file)
    world.hub.said = HubUnavailable()
    await world.live()
    assert world.entered() == CLOSED
    assert world.heard.events("networks.unreadable")[0]["level"] == "error"
    world.hub.said = [LINKED]
    await world.live()
    assert world.entered() == LINKED_ALONE


ODD: dict[str, object] = {
    "absent": None,
    "an-object": {},
    "a-text": LINKED,
    "a-number": [3232235520],
    "junk": [OTHER, "junk"],
    "host-bits": ["198.51.100.7/24"],
    "mapped": ["::ffff:198.51.100.0/120"],
    "too-many": [f"10.{n >> 8}.{n & 255}.0/24" for n in range(MAX_NETWORKS + 1)],
}


@pytest.mark.parametrize("name", ODD)
async def test_what_the_hub_says_and_cant_be_read_changes_nothing(world: World, name: str):
    """A word of another shape, or none, leaves the networks that were told before."""
    world.hub.said = [LINKED]
    await world.live()
    world.hub.said = ODD[name]
    task = asyncio.create_task(world.told.run())
    try:
        await eventually(lambda: world.hub.asked >= 2)
        assert world.entered() == LINKED_ALONE
        assert json.loads(world.file.read_text()) == {"networks": [LINKED]}
        world.hub.said = [OTHER]
        world.told.look()
        await eventually(lambda: world.entered() == [False, True])
    finally:
        await _end(task)
    assert bool(world.heard.events("networks.not_told")) is (name != "absent")


async def test_what_changes_counts_at_once_and_is_kept(world: World):
    """Each look takes over what the hub says; without a network the region is open again."""
    await world.live()
    task = asyncio.create_task(world.told.run())
    try:
        for said, entered in (([LINKED], LINKED_ALONE), ([LINKED, OTHER], OPEN), ([], OPEN)):
            world.hub.said = said
            world.told.look()
            await eventually(lambda: _kept(world.file) == said)  # noqa: B023
            assert world.entered() == entered
    finally:
        await _end(task)
    assert [line["networks"] for line in world.heard.events("networks.told")] == [1, 2, 0]


async def test_a_word_during_a_question_makes_another_one(world: World):
    """Settings that change while the hub answers aren't missed."""
    await world.live()
    world.hub.said = [LINKED]
    inner = world.hub.get

    async def get(target: str) -> dict[str, Any]:
        answer = await inner(target)
        if world.hub.said == [LINKED]:
            world.hub.said = [OTHER]
            world.told.look()
        return answer

    world.told._hub = type("Hub", (), {"get": staticmethod(get)})()
    task = asyncio.create_task(world.told.run())
    try:
        await eventually(lambda: world.entered() == [False, True])
    finally:
        await _end(task)


async def test_what_cant_be_kept_counts_and_is_tried_again(world: World):
    """A full or broken disk keeps nobody's network open: it counts at once, and is kept later."""
    await world.live()
    world.file.mkdir()
    (world.file / "in-the-way").touch()
    world.hub.said = [LINKED]
    task = asyncio.create_task(world.told.run())
    try:
        await eventually(lambda: world.heard.events("networks.not_told"))
        assert world.entered() == LINKED_ALONE
        (world.file / "in-the-way").unlink()
        world.file.rmdir()
        await eventually(lambda: _kept(world.file) == [LINKED])
    finally:
        await _end(task)


async def _end(task: "asyncio.Task[None]") -> None:
    assert not task.done()
    task.cancel()
    await asyncio.wait((task,))


def _kept(path: Path) -> object:
    try:
        return json.loads(path.read_text())["networks"]
    except FileNotFoundError:
        return None
