"""The event log: numbered without gaps, bounded, and with a name."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.database import Database
from hub.errors import CursorGone, Invalid
from hub.log.cursor import Extent, cursor_in
from hub.log.log import Limits, Log
from hub.log.works import Entry, new_epoch
from proxy.events.event import ManifestPushed
from proxy.events.notification import Notification, Sender, Source
from proxy.oci.reference import Repository, Tag

HAPPENED = datetime(2026, 1, 2, tzinfo=UTC)


class ManualClock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time


class Shelf:
    """A log and what it stands on."""

    def __init__(self, path: Path, **limits: float) -> None:
        self.clock = ManualClock()
        self.database = Database(f"sqlite:///{path}")
        wanted = {"keep_seconds": 1000, "max_events": 10_000, "dedupe_seconds": 100, **limits}
        self.log = Log(self.database, Limits(**wanted), self.clock)  # type: ignore[arg-type]
        self.told: list[Entry] = []
        self.log.listen(self.told.extend)

    async def open(self) -> "Shelf":
        await self.database.open()
        await self.log.open()
        return self

    async def close(self) -> None:
        await self.log.close()
        await self.database.close()

    async def add(self, *tags: str) -> tuple[list[int], int]:
        """Append pushes; give the numbers of the new ones, and how many were known."""
        appended = await self.log.append([push(tag) for tag in tags])
        return [entry.seq for entry in appended.entries], appended.repeated


def push(tag: str, identifier: str = "") -> Notification:
    source = Source(Sender.PLAIN, HAPPENED, identifier or tag)
    return Notification(source, ManifestPushed(Repository.parse("shop/api"), Tag.parse(tag)))


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    opened = await Shelf(tmp_path / "hub.db").open()
    yield opened
    await opened.close()


async def test_numbers_have_no_gaps(shelf: Shelf) -> None:
    """Events are numbered from 1 on, also where some of them come together or were there."""
    assert await shelf.add("a", "b") == ([1, 2], 0)
    assert await shelf.add("b", "c", "c") == ([3], 2)
    results = await asyncio.gather(*(shelf.add(f"t{n}", f"u{n}") for n in range(200)))
    assert sorted(seq for seqs, _ in results for seq in seqs) == list(range(4, 404))
    assert shelf.log.extent.head == 403


async def test_listeners_are_told_in_order(shelf: Shelf) -> None:
    """Whoever listens is told of everything once, in the order of the log."""
    await asyncio.gather(*(shelf.add(f"t{n}") for n in range(1200)))
    assert [entry.seq for entry in shelf.told] == list(range(1, 1201))
    assert shelf.told == await shelf.log.read(0, 1200, 2000)


async def test_listeners_are_told_of_what_nobody_waits_for(shelf: Shelf) -> None:
    """A sender that hung up before its answer leaves no hole in the streams."""
    leaving = asyncio.create_task(shelf.add("leaving"))
    await asyncio.sleep(0)
    leaving.cancel()
    await shelf.add("staying")
    assert [entry.seq for entry in shelf.told] == [1, 2]


async def test_the_same_event_later_is_another_one(shelf: Shelf) -> None:
    """Past the window a repetition is logged: acting twice does less harm than not at all."""
    assert await shelf.add("a") == ([1], 0)
    shelf.clock.time += 99
    assert await shelf.add("a") == ([], 1)
    shelf.clock.time += 2
    assert await shelf.add("a") == ([2], 0)


async def test_the_log_outlives_the_process(tmp_path: Path) -> None:
    """Epoch, numbers and events are those of before."""
    first = await Shelf(tmp_path / "hub.db").open()
    await first.add("a", "b")
    await first.close()
    second = await Shelf(tmp_path / "hub.db").open()
    assert second.log.extent == first.log.extent
    assert await second.add("b", "c") == ([3], 1)
    await second.database.write(new_epoch)
    await second.close()
    third = await Shelf(tmp_path / "hub.db").open()
    assert third.log.extent.epoch != first.log.extent.epoch
    assert third.log.extent.head == 3
    await third.close()


@pytest.mark.parametrize(("kept", "floor"), [(10_000, 2500), (400, 2600)])
async def test_the_oldest_go_first(tmp_path: Path, kept: int, floor: int) -> None:
    """What is past its time, or too much, is trimmed; what follows the floor is all there."""
    shelf = await Shelf(tmp_path / "hub.db", max_events=kept).open()
    for start in range(0, 2500, 500):
        await shelf.add(*(f"t{n}" for n in range(start, start + 500)))
    shelf.clock.time += 1001
    await shelf.add(*(f"t{n}" for n in range(2500, 3000)))
    assert await shelf.log.trim() == floor
    assert shelf.log.extent == Extent(shelf.log.extent.epoch, floor, 3000)
    rest = await shelf.log.read(floor, 3000, 5000)
    assert [entry.seq for entry in rest] == list(range(floor + 1, 3001))
    await shelf.close()


async def test_numbers_go_on_after_everything_is_past_its_time(tmp_path: Path) -> None:
    """The newest event stays, so that no number is ever given twice."""
    shelf = await Shelf(tmp_path / "hub.db").open()
    await shelf.add("a", "b")
    shelf.clock.time += 10_000
    assert await shelf.log.trim() == 1
    await shelf.close()
    again = await Shelf(tmp_path / "hub.db").open()
    assert again.log.extent.floor == 1
    assert await again.add("c") == ([3], 0)
    await again.close()


EXTENT = Extent("0123456789abcdef", 5, 9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0123456789abcdef:5", None),
        ("0123456789abcdef:9", None),
        ("0123456789abcdef:4", CursorGone),
        ("0123456789abcdef:10", CursorGone),
        ("1123456789abcdef:5", CursorGone),
        ("0123456789abcdef:", Invalid),
        ("0123456789ABCDEF:5", Invalid),
        ("0123456789abcdef:05", Invalid),
        ("0123456789abcdef:5\n", Invalid),
        ("0123456789abcdef:\u0665", Invalid),
        (None, Invalid),
        (5, Invalid),
    ],
)
def test_cursors(text: object, expected: type[Exception] | None) -> None:
    """A cursor leads on from the floor to the head of its own epoch, and is written in one way."""
    if expected is None:
        cursor = cursor_in(text)
        EXTENT.check(cursor)
        assert str(cursor) == text
        return
    with pytest.raises(expected):
        EXTENT.check(cursor_in(text))
