"""A sidecar that is locked, full, damaged or too new: nobody waits long, nothing else is lost."""

import asyncio
import os
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from proxy.oci.reference import Tag
from proxy.registry import schema, sqlite_file
from proxy.registry.sidecar import MAX_QUEUED_WRITES, AnswerRow
from proxy.registry.sqlite_file import SchemaTooNew
from tests.registry_store.ground import A, B
from tests.registry_store.sidecars import ROW, TAG, reopened, what_is_kept
from tests.support.processes import run
from tests.support.waiting import eventually

# --- locked ---------------------------------------------------------------------------------------


@pytest.fixture
def locked(path):
    """Locks the file as a second process would (SQLite keeps connections apart, too)."""
    others = []

    def lock(how="EXCLUSIVE"):
        other = sqlite3.connect(path, isolation_level=None)
        others.append(other)
        other.execute(f"BEGIN {how}")
        return other

    yield lock
    for other in others:
        other.close()


async def test_nobody_waits_long_for_a_locked_file(path, sidecar, locked):
    """C24, F16: a hundred requests that need the locked file get nothing from it, and get that
    within a second, all of them.
    """
    sidecar.put_tag(A, TAG, ROW)
    await sidecar.flush()
    other = locked()
    sidecar.put_tag(B, TAG, ROW)
    started = time.monotonic()
    found = await asyncio.gather(*(sidecar.tag(A, TAG) for _ in range(100)))
    assert time.monotonic() - started < 1.0
    assert found == [None] * 100
    assert sidecar.failures > 0
    other.execute("COMMIT")


@pytest.mark.parametrize("how", ["EXCLUSIVE", "IMMEDIATE"])
async def test_writes_wait_for_a_locked_file(path, sidecar, locked, monkeypatch, how):
    """C24: what is put while the file is locked is written once it isn't."""
    monkeypatch.setattr(sqlite_file, "RETRY_SECONDS", 0.05)
    other = locked(how)
    sidecar.put_tag(A, TAG, ROW)
    await sidecar.flush()
    assert sidecar.failures > 0
    sidecar.put_tag(B, TAG, ROW)
    other.execute("COMMIT")
    with sqlite3.connect(path) as reader:
        await eventually(lambda: reader.execute("SELECT count(*) FROM tag").fetchone() == (2,))
    reader.close()


async def test_reads_come_back_after_a_lock(path, sidecar, locked, monkeypatch):
    """C24: once the lock is gone, rows are found again."""
    monkeypatch.setattr(sqlite_file, "RETRY_SECONDS", 0.05)
    sidecar.put_tag(A, TAG, ROW)
    await sidecar.flush()
    other = locked()
    assert await sidecar.tag(A, TAG) is None
    other.execute("COMMIT")
    async with asyncio.timeout(5):
        while await sidecar.tag(A, TAG) is None:
            await asyncio.sleep(0.01)


async def test_what_waits_for_a_locked_file_is_bounded(sidecar, locked):
    """C30: a file that stays locked doesn't fill the memory."""
    other = locked()
    for number in range(MAX_QUEUED_WRITES + 500):
        sidecar.put_tag(A, Tag(f"t{number}"), ROW)
    await sidecar.flush()
    for number in range(500):
        sidecar.put_tag(A, Tag(f"u{number}"), ROW)
    await sidecar.flush()
    assert len(sidecar._queue) <= MAX_QUEUED_WRITES
    other.execute("COMMIT")


async def test_closing_does_not_wait_for_a_lock(path, locked):
    """C25: a file that stays locked holds nobody up at the end."""
    sidecar = await reopened(path)
    locked()
    sidecar.put_tag(A, TAG, ROW)
    async with asyncio.timeout(2):
        await sidecar.close()


async def test_a_start_beside_a_lock_uses_the_file_later(path, locked, monkeypatch):
    """C24: a file that is locked at the start costs its rows until the lock is gone."""
    monkeypatch.setattr(sqlite_file, "RETRY_SECONDS", 0.05)
    first = await reopened(path)
    first.put_tag(A, TAG, ROW)
    await first.close()
    other = locked()
    sidecar = await reopened(path)
    assert await sidecar.tag(A, TAG) is None
    other.execute("COMMIT")
    async with asyncio.timeout(5):
        while await sidecar.tag(A, TAG) is None:
            await asyncio.sleep(0.01)
    await sidecar.close()


# --- full, damaged, newer -------------------------------------------------------------------------


async def test_a_full_disk_costs_writes_and_no_reads(path, sidecar, monkeypatch):
    """C24, F17: with SQLITE_FULL reads go on, and with room again writes do."""
    monkeypatch.setattr(sqlite_file, "RETRY_SECONDS", 0.05)
    sidecar.put_tag(A, TAG, ROW)
    await sidecar.flush()
    connection = sidecar._file._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    large = AnswerRow("{}", b"x" * 100_000, 0.0)
    sidecar.put_answer("tags", A, "", large)
    await sidecar.flush()
    assert sidecar.failures > 0
    assert await sidecar.tag(A, TAG) == ROW
    assert await sidecar.answer("tags", A, "") is None
    connection.execute("PRAGMA max_page_count = 1000000")
    async with asyncio.timeout(5):
        while await sidecar.answer("tags", A, "") != large:
            await asyncio.sleep(0.01)


def with_garbage(path):
    path.write_bytes(os.urandom(20_000))


def with_garbage_inside(path):
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)


def with_text(path):
    path.write_text("not a database\n" * 100)


def cut_off(path):
    os.truncate(path, path.stat().st_size // 2 + 100)


@pytest.mark.parametrize("damage", [with_garbage, with_garbage_inside, with_text, cut_off])
async def test_a_damaged_file_is_moved_aside(path, damage):
    """C24, F17: damage is found at the start, kept for a look, and a new file begun."""
    sidecar = await reopened(path)
    for number in range(500):
        sidecar.put_tag(A, Tag(f"t{number}"), ROW)
    await sidecar.close()
    damage(path)
    damaged = path.read_bytes()
    again = await reopened(path)
    assert await again.tag(A, TAG) is None
    again.put_tag(A, TAG, ROW)
    await again.close()
    assert await what_is_kept(path) == ROW
    (aside,) = path.parent.glob("proxima.damaged-*")
    assert aside.read_bytes() == damaged


@pytest.mark.parametrize("loss", [Path.unlink, lambda path: os.truncate(path, 0)])
async def test_a_lost_file_is_begun_anew(path, loss):
    """F17: a deleted or emptied file is a new one."""
    sidecar = await reopened(path)
    sidecar.put_tag(A, TAG, ROW)
    await sidecar.close()
    loss(path)
    again = await reopened(path)
    assert await again.tag(A, TAG) is None
    again.put_tag(B, TAG, ROW)
    await again.flush()
    assert await again.tag(B, TAG) == ROW
    await again.close()


@pytest.mark.parametrize("version", [schema.VERSION + 1, 999])
async def test_a_newer_file_is_refused_in_words(path, version):
    """F27: a file of a newer version is left alone, and the refusal says what is wrong."""
    sidecar = await reopened(path)
    sidecar.put_tag(A, TAG, ROW)
    await sidecar.close()
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {version}")
    newer.close()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match=rf"{path}.*schema {version}"):
        await reopened(path)
    assert path.read_bytes() == before


async def test_a_folder_in_its_place_costs_the_rows(path):
    """What can't be opened at all stops nothing: all goes on without."""
    path.mkdir()
    sidecar = await reopened(path)
    sidecar.put_tag(A, TAG, ROW)
    await sidecar.flush()
    assert await sidecar.tag(A, TAG) is None
    assert sidecar.failures > 0
    await sidecar.close()


async def test_damage_in_a_store_that_cannot_be_written_costs_the_rows(path, monkeypatch):
    """A damaged file that can't be moved aside stops nothing either."""
    path.write_bytes(os.urandom(20_000))

    def fails(*_):
        raise OSError(30, "read-only")

    monkeypatch.setattr(Path, "rename", fails)
    sidecar = await reopened(path)
    assert await sidecar.tag(A, TAG) is None
    await sidecar.close()


DYING = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
for number in range(2000):
    connection.execute("INSERT INTO fact VALUES (?, ?)", (f"f{number}", "x" * 200))
os._exit(0)
"""


async def test_a_half_written_commit_is_rolled_back(path):
    """C2: a crash in the middle of a commit leaves the rows of before."""
    sidecar = await reopened(path)
    sidecar.put_tag(A, TAG, ROW)
    await sidecar.close()
    await asyncio.to_thread(run, (sys.executable, "-c", DYING, str(path)))
    assert path.with_name(path.name + "-journal").stat().st_size > 0
    again = await reopened(path)
    assert await again.tag(A, TAG) == ROW
    assert await again.fact("f0") is None
    await again.close()
