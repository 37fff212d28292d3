"""The index of what is here: its order, how often it writes, and what a bad sidecar costs."""

import sqlite3

import pytest

from proxy.oci.digest import Algorithm, Digest
from proxy.registry import usage
from proxy.registry.order import BEGINNING, SMALL_BYTES, Rank, digest_of, key_of
from proxy.registry.sidecar import Sidecar
from proxy.registry.usage import Usage
from tests.registry_store.sidecars import reopened

LARGE = SMALL_BYTES + 1


def named(number: int) -> Digest:
    return Digest.of(b"%d" % number)


@pytest.fixture
def index(sidecar: Sidecar, clock) -> Usage:
    return Usage(sidecar, clock.wall)


async def order(index: Usage) -> list[tuple[Digest, Rank]]:
    assert await index.write()
    return [(each.digest, Rank(each.rank)) for each in await index.after(BEGINNING, 100)]


async def test_the_order_of_eviction(index):
    """Never pulled, then pulled by last use; small contents after both, in the same order."""
    index.added(named(1), SMALL_BYTES, SMALL_BYTES, is_pulled=True)
    index.added(named(2), SMALL_BYTES, SMALL_BYTES, is_pulled=False)
    index.added(named(3), LARGE, LARGE, is_pulled=True)
    index.added(named(4), LARGE, LARGE, is_pulled=True)
    index.added(named(5), LARGE, LARGE, is_pulled=False)
    index.added(named(6), LARGE, LARGE, is_pulled=False)
    index.touch(named(3))
    index.touch(named(5))
    assert await order(index) == [
        (named(6), Rank.PROBATION),
        (named(4), Rank.PULLED),
        (named(3), Rank.PULLED),
        (named(5), Rank.PULLED),
        (named(2), Rank.SMALL_PROBATION),
        (named(1), Rank.SMALL_PULLED),
    ]
    assert (index.stored_contents, index.stored_bytes) == (6, 4 * LARGE + 2 * SMALL_BYTES)


async def test_a_push_of_what_was_pulled_demotes_nothing(index):
    """Bytes that enter again keep the rank they had; what went and came back begins anew."""
    index.added(named(1), LARGE, LARGE, is_pulled=True)
    index.added(named(1), LARGE, 0, is_pulled=False)
    assert await order(index) == [(named(1), Rank.PULLED)]
    index.removed(named(1), LARGE, is_evicted=True)
    index.added(named(1), LARGE, LARGE, is_pulled=False)
    assert await order(index) == [(named(1), Rank.PROBATION)]
    assert (index.stored_contents, index.stored_bytes) == (1, LARGE)


async def test_pages_follow_each_other(index):
    """The order can be read piece by piece without missing or repeating any."""
    for number in range(25):
        index.added(named(number), LARGE, LARGE, is_pulled=number % 2 == 0)
    whole = [digest for digest, _ in await order(index)]
    place, pieces = BEGINNING, []
    while page := await index.after(place, 4):
        place = page[-1].place
        pieces += [each.digest for each in page]
    assert pieces == whole
    assert len(set(pieces)) == 25


async def test_a_use_is_written_once_a_minute(index, sidecar, monkeypatch):
    """A hot content costs one write within a minute, however often it is pulled."""
    batches, real = [], sidecar._file.commit
    monkeypatch.setattr(sidecar._file, "commit", lambda batch: batches.extend(batch) or real(batch))
    assert [index.touch(named(1)) for _ in range(1000)].count(True) == 1
    assert await index.write()
    index.touch(named(1))
    assert await index.write()
    assert len(batches) == 1
    index.begin_minute()
    index.touch(named(1))
    assert await index.write()
    assert len(batches) == 2


async def test_a_clock_that_goes_back_keeps_the_order(index, clock, path, sidecar):
    """C13's spirit for order: later is later, also after a restart with an earlier clock."""
    for number in range(3):
        index.added(named(number), LARGE, LARGE, is_pulled=True)
        clock.wall_offset -= 3600
    assert await index.write()
    again = Usage(sidecar, clock.wall)
    assert await again.write()
    again.touch(named(0))
    assert [digest for digest, _ in await order(again)] == [named(1), named(2), named(0)]


async def test_a_locked_sidecar_loses_no_change(index, path, monkeypatch):
    """While the file is locked changes wait; what was evicted isn't given again meanwhile."""
    index.added(named(1), LARGE, LARGE, is_pulled=True)
    index.added(named(2), LARGE, LARGE, is_pulled=True)
    assert await index.write()
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM content").fetchone()  # others may read, nobody write
    index.removed(named(1), LARGE, is_evicted=True)
    index.added(named(3), LARGE, LARGE, is_pulled=True)
    assert not await index.write()
    monkeypatch.setattr(index._sidecar._file, "_paused_until", 0.0)
    assert [each.digest for each in await index.after(BEGINNING, 10)] == [named(2)]
    reader.execute("COMMIT")
    reader.close()
    monkeypatch.setattr(index._sidecar._file, "_paused_until", 0.0)
    assert [digest for digest, _ in await order(index)] == [named(2), named(3)]
    assert index.stored_bytes == 2 * LARGE


async def test_changes_are_bounded(index, monkeypatch):
    """A sidecar that takes nothing for long costs changes, which are counted; sums stay right."""
    monkeypatch.setattr(usage, "MAX_PENDING", 10)
    for number in range(15):
        index.added(named(number), LARGE, LARGE, is_pulled=True)
    assert index.lost_changes == 5
    assert index.stored_contents == 15


async def test_marks_tell_what_was_evicted(index, monkeypatch):
    """An evicted content is marked until it comes back; the oldest marks go."""
    monkeypatch.setattr(usage, "MAX_EVICTED_MARKS", 3)
    for number in range(5):
        index.added(named(number), LARGE, LARGE, is_pulled=True)
        index.removed(named(number), LARGE, is_evicted=True)
        assert await index.write()
    marks = [number for number in range(5) if await index.was_evicted(named(number))]
    assert marks == [2, 3, 4]
    index.added(named(3), LARGE, LARGE, is_pulled=True)
    assert await index.write()
    assert not await index.was_evicted(named(3))


async def test_sums_outlive_a_restart(index, path, sidecar, clock):
    """The next life begins with the sums of the last, before anything was counted."""
    index.added(named(1), LARGE, LARGE, is_pulled=True)
    index.added(named(2), 10, 10, is_pulled=True)
    assert await index.write()
    again = await reopened(path)
    later = Usage(again, clock.wall)
    later.added(named(3), 5, 5, is_pulled=False)
    assert await later.write()
    assert (later.stored_contents, later.stored_bytes) == (3, LARGE + 15)
    await again.close()


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_keys_are_short_forms_of_digests(algorithm):
    """Each digest has one key, which names it again."""
    digest = Digest.of(b"content", algorithm)
    assert digest_of(key_of(digest)) == digest
    assert len(key_of(digest)) == 1 + len(digest.hex) // 2


async def test_parts_hold_exactly_what_begins_so(index):
    """The recount's parts are disjoint and together everything, the last byte included."""
    digests = [named(number) for number in range(2000)]
    for digest in digests:
        index.added(digest, 10, 10, is_pulled=False)
    found: list[Digest] = []
    for first in range(256):
        part = await index.sizes_of(Algorithm.SHA256, first)
        assert all(int(each.hex[:2], 16) == first for each in part)
        found += part
    assert sorted(map(str, found)) == sorted(map(str, digests))
    assert await index.sizes_of(Algorithm.SHA512, 0) == {}
