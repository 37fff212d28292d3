"""What is known of tags, in memory, in the tree and in the sidecar: in step, and never older."""

import asyncio
import errno
import os
import threading

import pytest

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.oci.reference import Tag
from proxy.registry import durable
from proxy.registry.sidecar import Sidecar
from proxy.registry.tagbook import CONFIRM_AFTER_SECONDS, TagBook
from tests.registry_store.ground import A

TAG = Tag("1.0")
OLD, NEW = Digest.of(b"old"), Digest.of(b"new")


@pytest.fixture
async def sidecar(tmp_path):
    sidecar = Sidecar(tmp_path / "proxima.sqlite")
    await sidecar.open()
    yield sidecar
    await sidecar.close()


@pytest.fixture
def restarted(tree, sidecar, clock, heard):
    """Makes a book that remembers nothing, as after a start."""
    return lambda: TagBook(tree, sidecar, clock, heard.telemetry.log)


@pytest.fixture
def book(restarted):
    return restarted()


async def test_a_tag_outlives_a_restart_with_its_age(book, restarted, clock):
    """After a restart a tag is as old as its last check, by the time of day."""
    await book.apply(A, TAG, NEW, clock.now())
    clock.pass_(40)
    state = await restarted().known(A, TAG)
    assert state.digest == NEW
    assert restarted().age(state) == pytest.approx(40)


async def test_a_row_about_another_digest_says_nothing(book, restarted, clock, tree):
    """The tree is the authority: a row that tells of another digest gives no age."""
    await book.apply(A, TAG, OLD, clock.now())
    await tree.put_tag(A, TAG, NEW)
    state = await restarted().known(A, TAG)
    assert state.digest == NEW
    assert restarted().age(state) == float("inf")


async def test_a_lost_sidecar_costs_the_age_alone(book, tree, tmp_path, clock, heard):
    """C24, F17: without its row a tag is known, and has to be checked."""
    await book.apply(A, TAG, NEW, clock.now())
    empty = Sidecar(tmp_path / "other.sqlite")
    await empty.open()
    state = await TagBook(tree, empty, clock, heard.telemetry.log).known(A, TAG)
    assert state.digest == NEW
    assert state.checked_at == float("-inf")
    await empty.close()


async def test_a_time_of_day_that_went_back_makes_no_tag_younger(book, restarted, clock):
    """F13: a row from the future counts as checked now, not later."""
    await book.apply(A, TAG, NEW, clock.now())
    clock.wall_offset -= 3600
    state = await restarted().known(A, TAG)
    assert restarted().age(state) == 0


async def test_nothing_is_shown_that_a_crash_would_take_back(book, tree, monkeypatch):
    """Settled 14, C17: a tag is shown as what it names now only when its link is on disk."""
    await book.apply(A, TAG, OLD, 10.0)
    shown = []
    put_tag = tree.put_tag

    async def watched(*link: object) -> None:
        shown.append(book.remembered(A, TAG).digest)
        await put_tag(*link)
        shown.append(book.remembered(A, TAG).digest)

    monkeypatch.setattr(tree, "put_tag", watched)
    assert await book.apply(A, TAG, NEW, 20.0)
    assert shown == [OLD, OLD]
    assert book.remembered(A, TAG).digest == NEW


async def test_a_tag_that_is_dropped_while_it_is_written_stays_away(
    book, restarted, tree, clock, monkeypatch
):
    """A deletion that comes while a state is on its way to the disk is the last word."""
    await book.apply(A, TAG, OLD, clock.now())
    clock.pass_(1)
    put_tag, drops = tree.put_tag, []

    async def dropping(*link: object) -> None:
        clock.pass_(1)
        drops.append(asyncio.create_task(book.drop(A, TAG)))
        await asyncio.sleep(0)
        await put_tag(*link)

    monkeypatch.setattr(tree, "put_tag", dropping)
    assert not await book.apply(A, TAG, NEW, clock.now())
    await asyncio.gather(*drops)
    assert book.remembered(A, TAG) is None
    assert await restarted().known(A, TAG) is None


@pytest.mark.parametrize(("asked_at", "expected"), [(5.0, NEW), (10.0, OLD), (15.0, OLD)])
async def test_an_answer_counts_only_if_it_was_asked_for_later(book, asked_at, expected):
    """Settled 14, C17: a slow answer never puts an older state of the primary in place."""
    await book.apply(A, TAG, NEW, 10.0)
    await book.apply(A, TAG, OLD, asked_at)
    assert (await book.known(A, TAG)).digest == expected


async def test_an_answer_from_before_a_deletion_brings_nothing_back(book, restarted, clock):
    """C16: a check that began before the tag was deleted doesn't make it again."""
    await book.apply(A, TAG, OLD, clock.now())
    asked_at = clock.now()
    clock.pass_(1)
    await book.drop(A, TAG)
    await book.apply(A, TAG, OLD, asked_at)
    assert await book.known(A, TAG) is None
    assert await restarted().known(A, TAG) is None
    clock.pass_(1)
    await book.apply(A, TAG, NEW, clock.now())
    assert (await restarted().known(A, TAG)).digest == NEW


class SlowDisk:
    """Holds writes of tags, in their threads, until the test lets them go on in its order."""

    def __init__(self, monkeypatch) -> None:
        self.entered: list[bytes] = []
        self.gates = {digest: threading.Event() for digest in (OLD, NEW)}
        real = durable.write_file

        def slow(path, data, *others, **named):
            self.entered.append(data)
            assert self.gates[Digest.parse(data.decode())].wait(10)
            real(path, data, *others, **named)

        monkeypatch.setattr(durable, "write_file", slow)

    async def wait_entered(self) -> None:
        async with asyncio.timeout(10):
            while not self.entered:
                await asyncio.sleep(0.001)


async def test_what_is_applied_last_is_on_disk_last(book, restarted, clock, monkeypatch):
    """C17: two changes of one tag at once leave on disk what they leave in memory."""
    disk = SlowDisk(monkeypatch)
    first = asyncio.create_task(book.apply(A, TAG, OLD, 1.0))
    await disk.wait_entered()
    second = asyncio.create_task(book.apply(A, TAG, NEW, 2.0))
    await asyncio.sleep(0.01)
    disk.gates[NEW].set()
    await asyncio.sleep(0.01)
    disk.gates[OLD].set()
    await asyncio.gather(first, second)
    assert (await book.known(A, TAG)).digest == NEW
    assert (await restarted().known(A, TAG)).digest == NEW


async def test_a_deletion_beside_a_change_leaves_nothing(book, restarted, tree, monkeypatch):
    """C16: a tag that is dropped while it is written isn't there afterwards, on disk neither."""
    disk = SlowDisk(monkeypatch)
    change = asyncio.create_task(book.apply(A, TAG, NEW, 1.0))
    await disk.wait_entered()
    drop = asyncio.create_task(book.drop(A, TAG))
    await asyncio.sleep(0.01)
    disk.gates[NEW].set()
    await asyncio.gather(change, drop)
    assert await book.known(A, TAG) is None
    assert await restarted().known(A, TAG) is None
    assert not tree.layout.tag(A, TAG).exists()


async def test_a_change_whose_caller_left_is_finished_in_order(book, restarted, monkeypatch):
    """C8: a cancelled write doesn't overtake the one that came after it."""
    disk = SlowDisk(monkeypatch)
    first = asyncio.create_task(book.apply(A, TAG, OLD, 1.0))
    await disk.wait_entered()
    first.cancel()
    second = asyncio.create_task(book.apply(A, TAG, NEW, 2.0))
    await asyncio.sleep(0.01)
    disk.gates[NEW].set()
    await asyncio.sleep(0.01)
    disk.gates[OLD].set()
    await asyncio.gather(first, second, return_exceptions=True)
    assert (await restarted().known(A, TAG)).digest == NEW


async def test_what_the_disk_missed_it_learns_at_the_next_check(book, restarted, monkeypatch):
    """C20: a tag that moved while the disk was full is right in memory at once and on disk after
    the next check, also one that says nothing new.
    """
    await book.apply(A, TAG, OLD, 1.0)
    with monkeypatch.context() as patched:

        def fails(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patched.setattr(durable, "write_file", fails)
        await book.apply(A, TAG, NEW, 2.0)
        assert (await book.known(A, TAG)).digest == NEW
        assert (await restarted().known(A, TAG)).digest == OLD
    await book.apply(A, TAG, NEW, 3.0)
    assert (await restarted().known(A, TAG)).digest == NEW


async def test_what_has_to_last_says_that_the_disk_took_nothing(book, restarted, monkeypatch):
    """C21: a copied tag whose link isn't on disk is answered, and its copy isn't done."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(durable, "write_file", refuse)
        with pytest.raises(StoreUnavailable):
            await book.keep(A, TAG, NEW, 1.0)
    assert (await book.known(A, TAG)).digest == NEW
    assert await restarted().known(A, TAG) is None
    assert await book.keep(A, TAG, NEW, 2.0)
    assert (await restarted().known(A, TAG)).digest == NEW


async def test_an_unchanged_tag_costs_the_disk_nothing(book, monkeypatch):
    """A check that says nothing new writes its time alone."""
    await book.apply(A, TAG, NEW, 1.0)

    def fails(*_):
        raise AssertionError("written again")

    monkeypatch.setattr(durable, "write_file", fails)
    for asked_at in (2.0, 3.0):
        await book.apply(A, TAG, NEW, asked_at)


async def test_a_tag_goes_with_the_second_confirmed_404(book, clock):
    """Settled 11: one 404 removes nothing, nor two at once; the second one, 5 s later, does."""
    await book.apply(A, TAG, NEW, clock.now())
    for wait, is_there in ((0, True), (CONFIRM_AFTER_SECONDS - 0.1, True), (0.1, False)):
        clock.pass_(wait)
        await book.note_missing(A, TAG, book.remembered(A, TAG))
        assert (await book.known(A, TAG) is not None) == is_there
    assert await book.known(A, TAG) is None


async def test_deleting_a_manifest_ends_its_tags(book, restarted):
    """C16: all tags that name it go, the others stay."""
    for tag, digest in (("a", NEW), ("b", OLD), ("c", NEW)):
        await book.apply(A, Tag(tag), digest, 1.0)
    await book.drop_all_of(A, NEW)
    left = [tag for tag in "abc" if await restarted().known(A, Tag(tag))]
    assert left == ["b"]


async def test_a_tag_is_as_old_as_the_question(book, restarted, clock):
    """C16: an answer that took long to be carried out counts as checked when it was asked for, in
    memory and after a restart.
    """
    asked_at = clock.now()
    clock.pass_(1800)
    await book.apply(A, TAG, OLD, asked_at)
    assert book.age(book.remembered(A, TAG)) == 1800
    state = await restarted().known(A, TAG)
    assert clock.now() - state.checked_at == pytest.approx(1800)


async def test_what_has_left_memory_is_newer_all_the_same(book, restarted, clock):
    """C16: an older answer changes nothing though what it is compared with has to be read again."""
    asked_at = clock.now()
    clock.pass_(10)
    await book.apply(A, TAG, NEW, clock.now())
    again = restarted()
    await again.apply(A, TAG, OLD, asked_at)
    assert again.remembered(A, TAG).digest == NEW
