"""Eviction and recount at their edges: files that can't go, changes meanwhile, plans that fail."""

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.registry import durable, evictor, recount
from proxy.registry.room import Limits
from tests.registry_store.accounts import Accounts, opened_accounts
from tests.registry_store.ground import ManualClock
from tests.support.layers import random_bytes
from tests.support.waiting import eventually

SIZE = 70_000
CAPACITY = 10 * SIZE


def content(number: int, size: int = SIZE) -> bytes:
    return random_bytes(size, f"content-{number}")


@pytest.fixture
async def accounts(tmp_path, heard) -> AsyncIterator[Accounts]:
    """A store with room for ten contents."""
    limits = Limits(CAPACITY)
    async with opened_accounts(tmp_path / "store", heard, ManualClock(), limits) as opened:
        yield opened


async def fill(accounts: Accounts, count: int) -> list[bytes]:
    many = [content(number) for number in range(count)]
    for each in many:
        assert await accounts.keep(each)
    return many


def path_of(accounts: Accounts, data: bytes) -> Path:
    return accounts.store.tree.layout.data(Digest.of(data))


async def test_a_file_that_cannot_go_is_passed_over(accounts, heard):
    """Something else in a content's place stops nothing: the next ones go, and it is told."""
    many = await fill(accounts, 10)
    stuck = path_of(accounts, many[0])
    stuck.unlink()
    stuck.mkdir()
    assert await accounts.keep(content(10))
    assert not path_of(accounts, many[1]).exists()
    assert heard.events("store.evicted")[0]["stuck"] == 1


async def test_a_file_that_is_gone_already_frees_nothing(accounts):
    """An entry without a file costs nothing but itself: what is missing is freed elsewhere."""
    many = await fill(accounts, 10)
    shutil.rmtree(path_of(accounts, many[0]).parent)
    assert await accounts.keep(content(10))
    assert not path_of(accounts, many[1]).exists()
    assert await accounts.capacity.usage.size_of(Digest.of(many[0])) is None


async def test_evicted_contents_leave_no_folder(accounts):
    """A folder for each content that was ever here would fill the disk as well."""
    many = await fill(accounts, 10)
    assert await accounts.keep(content(10))
    assert not path_of(accounts, many[0]).parent.exists()


def test_a_commit_survives_its_folder_being_taken_away(tmp_path, monkeypatch):
    """F26: a content that enters while its empty folder is removed enters all the same."""
    spooled, target = tmp_path / "spooled", tmp_path / "blobs/aa/data"
    spooled.write_bytes(b"content")
    real, taken = durable.make_folders, []

    def raced(folder: Path) -> None:
        real(folder)
        if len(taken) < 3:
            folder.rmdir()
            taken.append(folder)

    monkeypatch.setattr(durable, "make_folders", raced)
    durable.move_into_place(spooled, target)
    assert (len(taken), target.read_bytes()) == (3, b"content")
    with pytest.raises(FileNotFoundError):
        durable.move_into_place(spooled, target)


async def test_what_doesnt_fit_evicts_nothing(accounts):
    """Admission: a claim that would need more than may go takes nothing, and is told so."""
    many = await fill(accounts, 9)
    for each in many[:6]:
        accounts.room.hold(Digest.of(each))
    before = accounts.here
    with accounts.room.claimed() as claim:
        with pytest.raises(StoreUnavailable, match="no room"):
            await claim.cover(5 * SIZE)
        assert claim.size == 0
        assert accounts.here == before
        await claim.cover(4 * SIZE)
    assert len(accounts.here) == 6
    assert accounts.room.refusals == 1


async def test_claims_at_once_share_what_there_is(accounts):
    """Many claims at the same time never get more than the capacity together."""
    await fill(accounts, 10)

    async def claimed() -> bool:
        claim = accounts.room.claim()
        try:
            await claim.cover(3 * SIZE)
        except StoreUnavailable:
            claim.release()
            return False
        return True

    granted = await asyncio.gather(*(claimed() for _ in range(20)))
    assert granted.count(True) == 3
    assert accounts.room.taken_bytes <= CAPACITY


async def test_a_claim_waits_a_bounded_time(accounts, monkeypatch):
    """A disk that hangs keeps nobody: the claim is refused, and what was begun goes on."""
    await fill(accounts, 10)
    gate, real = asyncio.Event(), accounts.capacity._evictor._free

    async def hanging(size: int) -> bool:
        await gate.wait()
        return await real(size)

    monkeypatch.setattr(accounts.capacity._evictor, "_free", hanging)
    monkeypatch.setattr("proxy.registry.room.ADMIT_WITHIN_SECONDS", 0.05)
    assert not await accounts.keep(content(10))
    assert len(accounts.here) == 10
    gate.set()
    await eventually(lambda: len(accounts.here) == 9)


async def test_a_growing_claim_grows_ahead(accounts):
    """An upload of unknown size claims a little more than it has, and not for every chunk."""
    with accounts.room.claimed() as claim:
        sizes = set()
        for size in range(0, 5 * SIZE, 1000):
            await claim.cover_growing(size)
            assert size <= claim.size <= size * 1.2 + 1
            sizes.add(claim.size)
        assert len(sizes) < 60


async def test_pins_that_cannot_be_read_stop_eviction(accounts, monkeypatch):
    """Nothing is evicted while it isn't known what is pinned; what comes passes through."""
    await fill(accounts, 10)

    async def unreadable(*_: object) -> None:
        return None

    accounts.capacity.pins._is_loaded = False
    monkeypatch.setattr(accounts.sidecar, "all", unreadable)
    assert not await accounts.keep(content(10))
    assert len(accounts.here) == 10


# --- the recount ---


async def test_a_recount_leaves_alone_what_changes_meanwhile(accounts, monkeypatch):
    """A content that comes and one that goes while their folder is looked at are counted once."""
    many = await fill(accounts, 9)
    assert await accounts.capacity.usage.write()
    new, gone = content(100), many[0]
    real = recount.contents_in
    loop = asyncio.get_running_loop()
    looked = set()

    def raced(folder, algorithm):
        looked.add(folder)
        found = real(folder, algorithm)
        if folder == path_of(accounts, new).parent.parent:
            asyncio.run_coroutine_threadsafe(accounts.keep(new), loop).result(10)
            found = real(folder, algorithm)
        if folder == path_of(accounts, gone).parent.parent:
            asyncio.run_coroutine_threadsafe(_quarantine(accounts, gone), loop).result(10)
        return found

    monkeypatch.setattr(recount, "contents_in", raced)
    await accounts.count()
    assert len(looked) == 512
    assert sum(accounts.here.values()) == accounts.capacity.usage.stored_bytes == 9 * SIZE
    monkeypatch.setattr(recount, "contents_in", real)
    await accounts.count()
    assert accounts.capacity.usage.stored_bytes == 9 * SIZE


@pytest.mark.parametrize("tells", ["after the look", "within it"])
async def test_a_recount_leaves_what_is_evicted_to_the_evictor(accounts, monkeypatch, tells):
    """A file that is unlinked, of which the accounts don't know yet, is taken off once."""
    many = await fill(accounts, 9)
    assert await accounts.capacity.usage.write()
    oldest, usage = Digest.of(many[0]), accounts.capacity.usage
    unlinked, may_tell = threading.Event(), threading.Event()
    real_removal, real_sizes = evictor.remove_contents, usage.sizes_of

    def removed(blobs, digests):
        sizes = real_removal(blobs, digests)
        unlinked.set()
        assert may_tell.wait(10)
        return sizes

    async def sizes_of(algorithm, first):
        sizes = await real_sizes(algorithm, first)
        if tells == "within it" and oldest in sizes:
            may_tell.set()
            await evicting
        return sizes

    monkeypatch.setattr(evictor, "remove_contents", removed)
    monkeypatch.setattr(usage, "sizes_of", sizes_of)
    evicting = asyncio.create_task(accounts.capacity._evictor.trim(SIZE))
    await eventually(unlinked.is_set)
    assert await accounts.capacity._recount.run()  # which settles no sums
    may_tell.set()
    assert await evicting == SIZE
    assert not path_of(accounts, many[0]).exists()
    assert sum(accounts.here.values()) == usage.stored_bytes == 8 * SIZE


async def _quarantine(accounts: Accounts, data: bytes) -> None:
    await accounts.store.tree.quarantine(Digest.of(data), "a test says so")


async def test_a_recount_finds_what_has_no_entry(accounts):
    """Contents of both algorithms that somebody else put, and entries without contents."""
    many = await fill(accounts, 3)
    foreign = accounts.store.tree.layout.blobs / "sha512/ab" / ("ab" + "0" * 126)
    foreign.mkdir(parents=True)
    (foreign / "data").write_bytes(bytes(100))
    (foreign.parent / "no-digest").mkdir()
    os.utime(foreign / "data", (1, 1))
    shutil.rmtree(path_of(accounts, many[0]).parent)
    await accounts.count()
    usage = accounts.capacity.usage
    assert (usage.stored_contents, usage.stored_bytes) == (3, 2 * SIZE + 100)
    assert await usage.size_of(Digest.parse(f"sha512:ab{'0' * 126}")) == 100


async def test_eviction_works_in_small_steps(accounts, monkeypatch):
    """C30, F23: many contents leave in steps between which others run."""
    monkeypatch.setattr(evictor, "PAUSE_SECONDS", 0.0)
    for number in range(100):
        assert await accounts.keep(content(number, 100))
    steps = 0

    async def counted() -> None:
        nonlocal steps
        while True:
            steps += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(counted())
    assert await accounts.capacity._evictor.trim(100 * 100) == 100 * 100
    other.cancel()
    assert accounts.here == {}
    assert steps > 100 / evictor.BATCH


async def test_sums_that_drifted_are_right_after_a_recount(accounts):
    """Damage that is set aside before its folder was ever counted leaves no trace in the sums."""
    many = await fill(accounts, 3)
    assert await accounts.capacity.usage.write()
    await accounts.sidecar.write_all([("DELETE FROM content", ())])
    accounts.capacity.usage.stored_bytes = accounts.capacity.usage.stored_contents = 0
    await _quarantine(accounts, many[0])
    assert accounts.capacity.usage.stored_bytes < 0
    await accounts.count()
    usage = accounts.capacity.usage
    assert (usage.stored_contents, usage.stored_bytes) == (2, 2 * SIZE)
