"""Copies of uploads on their way: bounded, exact, never in the push's way, kept on our own hash."""

import asyncio
import errno
import os
import threading

import pytest

from proxy.oci.digest import Algorithm, Digest
from proxy.registry import uploads as uploads_module
from proxy.registry.integrity import Integrity
from proxy.registry.layout import LinkKind
from proxy.registry.store import Store
from proxy.registry.uploads import IDLE_SECONDS, UploadCopies
from tests.registry_store.ground import TAIL_BYTES, A, file_of, open_files, spooled
from tests.support.waiting import eventually

BUDGET = 1_000_000
DATA = os.urandom(200_000)
DIGEST = Digest.of(DATA)


@pytest.fixture
def store(tree):
    return Store(tree, Integrity(tree, TAIL_BYTES), 1 << 20, may_serve_unverified_parts=True)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A machine that is busy with other tests is no slow disk."""
    monkeypatch.setattr(uploads_module, "SLOWEST_WRITE_SECONDS", 10.0)


@pytest.fixture
async def copies(store, clock, heard):
    copies = UploadCopies(store, BUDGET, clock, heard.telemetry.metrics)
    yield copies
    await copies.close()
    await eventually(lambda: not spooled(store.tree))
    assert open_files(store.tree.layout.root) == []
    assert copies._held_bytes == 0


async def begun(copies, data=b"", session=None):
    copy = await copies.begin()
    assert copy is not None
    for start in range(0, len(data), 65_536):
        await copies.add(copy, data[start : start + 65_536])
    if session is not None:
        copies.remember(session, copy)
    return copy


async def test_an_accepted_upload_is_kept_and_linked(copies, tree, heard):
    """What the primary accepted is in the tree, linked where it was pushed, and counted."""
    copy = await begun(copies, DATA)
    assert await copies.keep(copy, A, DIGEST)
    assert tree.layout.data(DIGEST).read_bytes() == DATA
    assert await tree.has_link(A, LinkKind.LAYER, DIGEST)
    assert heard.count("proxima_kept_push_bytes_total") == len(DATA)
    assert spooled(tree) == []


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        (Algorithm.SHA256, Digest.of(DATA + b"!")),
        (Algorithm.SHA256, Digest.of(DATA + b"!", Algorithm.SHA512)),
        (Algorithm.SHA512, Digest.of(DATA + b"!")),
    ],
    ids=["other bytes", "other algorithm", "the other way round"],
)
async def test_only_our_own_hash_counts(copies, tree, algorithm, digest):
    """C1: what the primary calls it isn't enough: a copy with another hash is dropped."""
    copy = await copies.begin(algorithm)
    await copies.add(copy, DATA)
    assert not await copies.keep(copy, A, digest)
    assert not tree.layout.data(digest).exists()
    assert not await tree.has_link(A, LinkKind.LAYER, digest)
    assert spooled(tree) == []


@pytest.mark.parametrize("begun_as", Algorithm)
async def test_sha512_uploads_are_kept(copies, tree, begun_as):
    """A copy is hashed with the algorithm of the digest it is pushed as, known early or late."""
    digest = Digest.of(DATA, Algorithm.SHA512)
    copy = await copies.begin(begun_as)
    await copies.add(copy, DATA)
    assert await copies.keep(copy, A, digest)
    assert tree.layout.data(digest).read_bytes() == DATA


async def test_one_request_at_a_time_has_a_sessions_copy(copies):
    """Taking it leaves nothing for a second request of the same session."""
    copy = await begun(copies, DATA, "session")
    assert copies.take("session") is copy
    assert copies.take("session") is None
    await copies.drop(copy)


async def test_a_copy_that_takes_anothers_place_ends_it(copies, tree):
    """Two copies for one session: the later one counts, the earlier one leaves nothing."""
    first = await begun(copies, DATA, "session")
    second = await begun(copies, b"other", "session")
    assert first.is_dropped
    await eventually(lambda: len(spooled(tree)) == 1)
    assert copies.take("session") is second
    await copies.drop(second)


# --- bounds ---------------------------------------------------------------------------------------


async def test_the_budget_is_for_all_copies_together(copies, tree):
    """The copy that would go beyond the budget is dropped, the others stay, room comes back."""
    first = await begun(copies, bytes(600_000), "first")
    second = await begun(copies, bytes(300_000))
    await copies.add(second, bytes(200_000))
    assert (first.is_dropped, second.is_dropped) == (False, True)
    await copies.add(second, b"nothing comes of this")
    await eventually(lambda: len(spooled(tree)) == 1)
    third = await begun(copies, bytes(400_000))
    assert not third.is_dropped
    assert await copies.begin() is None, "the budget is used up"
    await copies.drop(third)
    assert not (await begun(copies, bytes(400_000), "fourth")).is_dropped


@pytest.mark.parametrize("budget", [0, -1])
async def test_no_budget_means_no_copies(store, clock, heard, budget):
    """`tee_budget = 0` turns it off."""
    copies = UploadCopies(store, budget, clock, heard.telemetry.metrics)
    assert await copies.begin() is None


async def test_open_copies_are_bounded_in_number(copies, monkeypatch):
    """Sessions without bytes cost a descriptor each: those that are in a request's hands count."""
    monkeypatch.setattr(uploads_module, "MAX_COPIES", 5)
    held = [await begun(copies, b"", f"session-{number}") for number in range(3)]
    taken = [await begun(copies) for _ in range(2)]
    assert await copies.begin() is None
    await copies.drop(taken[0])
    assert not (await begun(copies, b"", "another")).is_dropped
    assert await copies.begin() is None
    await copies.drop(taken[1])
    assert len(held) == 3


async def test_an_idle_session_is_dropped(copies, clock, tree):
    """A session that nobody goes on with loses its copy; one that goes on keeps it."""
    idle = await begun(copies, DATA, "idle")
    clock.pass_(IDLE_SECONDS - 1)
    active = await begun(copies, DATA, "active")
    assert not idle.is_dropped
    clock.pass_(2)
    fresh = await begun(copies)
    assert (idle.is_dropped, active.is_dropped) == (True, False)
    assert copies.take("idle") is None
    await copies.drop(fresh)
    await eventually(lambda: len(spooled(tree)) == 1)


async def test_a_dropped_copy_is_not_remembered(copies):
    """What is of no use takes no session's place."""
    copy = await begun(copies, DATA)
    await copies.drop(copy)
    copies.remember("session", copy)
    assert copies.take("session") is None


# --- never in the way -----------------------------------------------------------------------------


async def test_a_slow_disk_costs_the_copy_not_the_push(copies, monkeypatch):
    """Settled 29: a disk that hangs drops the copy; the push isn't held back by it."""
    monkeypatch.setattr(uploads_module, "SLOWEST_WRITE_SECONDS", 0.01)
    opened, real = threading.Event(), os.pwrite

    def hangs(*arguments):
        assert opened.wait(10)
        return real(*arguments)

    monkeypatch.setattr(os, "pwrite", hangs)
    copy = await copies.begin()
    async with asyncio.timeout(5):
        for _ in range(100):
            await copies.add(copy, bytes(256 << 10))
    assert copy.is_dropped
    assert not await copies.keep(copy, A, DIGEST)
    assert copies._held_bytes == 0
    opened.set()


@pytest.mark.parametrize("step", ["pwrite", "fsync", "rename"])
async def test_a_failing_disk_costs_the_copy_alone(copies, tree, monkeypatch, step):
    """C20: no error reaches the push; nothing is kept, nothing stays."""
    fired = []

    def fails(*_):
        fired.append(step)
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("pathlib.Path.rename" if step == "rename" else f"os.{step}", fails)
    copy = await begun(copies, DATA)
    assert not await copies.keep(copy, A, DIGEST)
    assert fired
    assert not tree.layout.data(DIGEST).exists()
    await eventually(lambda: spooled(tree) == [])


async def test_without_room_for_a_file_there_is_no_copy(copies, monkeypatch):
    """C20: a store that can't be written makes no copies and raises nothing."""

    def fails(*_):
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(os, "open", fails)
    assert await copies.begin() is None


# --- cut back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65_536, 199_999])
async def test_a_copy_holds_what_the_primary_says_it_has(copies, tree, size):
    """After a broken PATCH it is cut back, goes on from there, and has the right hash."""
    copy = await begun(copies, DATA)
    await copies.cut_back(copy, size)
    await copies.add(copy, DATA[size:])
    assert await copies.keep(copy, A, DIGEST)
    assert tree.layout.data(DIGEST).read_bytes() == DATA


async def test_a_copy_that_has_less_is_dropped(copies):
    """What the primary has and we haven't can't be made up."""
    copy = await begun(copies, DATA)
    await copies.cut_back(copy, len(DATA) + 1)
    assert copy.is_dropped


async def test_a_cut_back_gives_budget_back_once(copies, monkeypatch):
    """The budget is exact, also where cutting back fails."""
    good, bad = await begun(copies, bytes(400_000)), await begun(copies, bytes(400_000))
    await copies.cut_back(good, 100_000)
    assert copies._held_bytes == 500_000

    def fails(*_):
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patched:
        patched.setattr(os, "ftruncate", fails)
        await copies.cut_back(bad, 100_000)
    assert bad.is_dropped
    assert copies._held_bytes == 100_000
    await copies.drop(good)


# --- cancellation ---------------------------------------------------------------------------------


async def test_a_push_that_ends_while_its_copy_is_kept_harms_nothing(copies, tree, monkeypatch):
    """C2: the commit's threads have their descriptor until they end, whoever left meanwhile."""
    copy = await begun(copies, DATA)
    entered, opened, real = threading.Event(), threading.Event(), os.fsync
    seen = []

    def slow(descriptor):
        entered.set()
        assert opened.wait(10)
        seen.append(file_of(descriptor))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    keeping = asyncio.create_task(copies.keep(copy, A, DIGEST))
    assert await asyncio.to_thread(entered.wait, 10)
    keeping.cancel()
    await asyncio.sleep(0.005)
    opened.set()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert seen[0] == str(copy.path)
    assert tree.layout.data(DIGEST).read_bytes() == DATA
    assert copy.is_dropped


async def test_closing_leaves_nothing(store, clock, heard):
    """C25: at the end no copy, no file and no descriptor is left."""
    copies = UploadCopies(store, BUDGET, clock, heard.telemetry.metrics)
    for number in range(10):
        await begun(copies, DATA[:10_000], f"session-{number}")
    await copies.close()
    assert spooled(store.tree) == []
    assert open_files(store.tree.layout.root) == []
