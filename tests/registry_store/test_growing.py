"""A file that is read while it grows, against a model; and the life of its descriptor."""

import asyncio
import os
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.oci.errors import ContentMismatch, RegistryError, Unavailable
from proxy.registry.growing import WAKE_LATER_SECONDS, GrowingFile


def temporary(data: bytes = b"") -> int:
    descriptor = os.memfd_create("growing")
    os.pwrite(descriptor, data, 0)
    return descriptor


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def growing_file(size: int = 100, tail: int = 10) -> GrowingFile:
    return GrowingFile(temporary(), size, tail)


# --- what may be sent -----------------------------------------------------------------------------


class Follower:
    """Reads from an offset on as the file grows, and notes all that it was told."""

    def __init__(self, growing: GrowingFile, offset: int, is_part: bool) -> None:
        self.offset = offset
        self.limits: list[int] = []
        self.error: RegistryError | None = None
        self.task = asyncio.create_task(self._follow(growing, is_part))

    async def _follow(self, growing: GrowingFile, is_part: bool) -> None:
        position = self.offset
        try:
            while position < growing.size:
                position = await growing.visible_beyond(position, is_part=is_part)
                self.limits.append(position)
        except RegistryError as exc:
            self.error = exc


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(1, 40)),
        st.tuples(st.just("follow"), st.integers(0, 99)),
        st.tuples(st.just("follow part"), st.integers(0, 99)),
        st.tuples(st.just("let run"), st.just(0)),
    ),
    max_size=25,
)


@given(steps=STEPS, tail=st.integers(0, 120), ending=st.sampled_from(["verified", "failed"]))
@settings(max_examples=150, deadline=None)
def test_followers_see_what_the_model_allows(steps, tail, ending):
    """C1: whatever arrives when and whoever joins where, nobody is told of bytes that aren't there
    or of held-back ones before the digest agreed; all are told of everything, or of the failure.
    """
    asyncio.run(_follow_by_model(steps, tail, ending))


async def _follow_by_model(steps, tail, ending):
    size, arrived = 100, 0
    growing = growing_file(size, tail)
    followers: list[tuple[Follower, bool]] = []
    for verb, number in steps:
        if verb == "arrive":
            count = min(number, size - arrived)
            arrived += count
            growing.advance(count)
        elif verb == "let run":
            await asyncio.sleep(0)
        else:
            is_part = verb == "follow part"
            followers.append((Follower(growing, number, is_part), is_part))
        assert growing.visible == max(0, min(arrived, size - tail))
        for follower, is_part in followers:
            assert max(follower.limits, default=0) <= (arrived if is_part else growing.visible)
    error = ContentMismatch()
    if ending == "verified":
        growing.advance(size - arrived)
        growing.verified()
    else:
        growing.failed(error)
    async with asyncio.timeout(5):
        await asyncio.gather(*(follower.task for follower, _ in followers))
    for follower, is_part in followers:
        assert follower.limits == sorted(set(follower.limits))
        if ending == "verified":
            assert follower.error is None
            assert follower.limits[-1] == size
        else:
            allowed = arrived if is_part else growing.visible
            assert follower.error is error or allowed == size
            assert max(follower.limits, default=follower.offset) >= min(allowed, size)
    growing.release()


@pytest.mark.parametrize("tail", [10, 100, 1000])
async def test_the_tail_waits_for_the_digest(tail):
    """C1: all of it has arrived, and still the last bytes are held back."""
    growing = growing_file(100, tail)
    growing.advance(100)
    assert growing.visible == max(0, 100 - tail)
    growing.verified()
    assert growing.visible == 100
    growing.release()


async def test_a_failure_after_the_end_changes_nothing():
    """It ends once: verified stays verified, and the first error is the one that counts."""
    good, bad = growing_file(), growing_file()
    good.verified()
    good.failed(Unavailable())
    assert await good.visible_beyond(0) == 100
    first = ContentMismatch()
    bad.failed(first)
    bad.failed(Unavailable())
    with pytest.raises(ContentMismatch) as raised:
        await bad.visible_beyond(0)
    assert raised.value is first
    good.release()
    bad.release()


async def test_bytes_before_a_failure_may_be_sent():
    """What was visible stays so: the failure is told to those who want more."""
    growing = growing_file(100, 10)
    growing.advance(50)
    growing.failed(Unavailable())
    assert await growing.visible_beyond(0) == 50
    with pytest.raises(Unavailable):
        await growing.visible_beyond(50)
    growing.release()


# --- waiting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["verified", "failed"])
async def test_the_end_reaches_a_thousand_waiters(ending):
    """C8: every waiter gets the end at once, none hangs."""
    growing = growing_file()
    waiters = [asyncio.create_task(growing.visible_beyond(0)) for _ in range(1000)]
    await asyncio.sleep(0)
    if ending == "verified":
        growing.verified()
    else:
        growing.failed(ContentMismatch())
    async with asyncio.timeout(5):
        found = await asyncio.gather(*waiters, return_exceptions=True)
    expected = int if ending == "verified" else ContentMismatch
    assert all(isinstance(each, expected) for each in found)
    growing.release()


async def test_a_thousand_followers_wake_cheaply():
    """Many followers aren't woken for each chunk, only every 20 ms, and still see all of it."""
    size = 4000
    growing = GrowingFile(temporary(), size, 10)
    followers = [Follower(growing, 0, is_part=False) for _ in range(1000)]
    loop = asyncio.get_running_loop()
    started = loop.time()
    for _ in range(size):
        growing.advance(1)
        await asyncio.sleep(0)
    growing.verified()
    async with asyncio.timeout(10):
        await asyncio.gather(*(follower.task for follower in followers))
    periods = (loop.time() - started) / WAKE_LATER_SECONDS
    assert max(len(follower.limits) for follower in followers) <= periods + 3
    assert all(follower.limits[-1] == size for follower in followers)
    growing.release()


async def test_a_few_followers_are_woken_at_once():
    """With few followers every chunk goes on as it comes."""
    growing = growing_file()
    follower = Follower(growing, 0, is_part=False)
    for _ in range(90):
        await asyncio.sleep(0)
        growing.advance(1)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert follower.limits == list(range(1, 91))
    growing.verified()
    await follower.task
    growing.release()


async def test_followers_that_leave_leave_nothing():
    """Ten thousand who wait for a stalled file and go aren't remembered."""
    growing = growing_file()
    for _ in range(10):
        waiters = [asyncio.create_task(growing.visible_beyond(0)) for _ in range(1000)]
        await asyncio.sleep(0)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
    assert len(growing._waiters) == 0
    growing.release()


# --- the descriptor -------------------------------------------------------------------------------


@given(order=st.permutations(["owner", "reader", "reader", "reader"]))
def test_whoever_is_last_closes_the_file_once(order):
    """In any order of letting go the descriptor is open until the last and closed then."""
    growing = growing_file()
    descriptor = growing.descriptor_number
    assert [growing.hold() for _ in range(3)] == [True] * 3
    for place, _ in enumerate(order):
        assert is_open(descriptor), place
        growing.release()
    assert not is_open(descriptor)


def test_nobody_can_hold_a_closed_file():
    """C1: its descriptor may be another file's by now, so a late reader is turned away."""
    growing = growing_file()
    growing.release()
    assert growing.hold() is False
    with suppress(OSError):
        assert not is_open(growing.descriptor_number)


def test_the_owner_hears_of_the_last_reader_only():
    """`on_last_reader_left` fires when the last of several readers leaves, each time anew."""
    growing, heard = growing_file(), []
    growing.on_last_reader_left = lambda: heard.append(growing.readers)
    for _ in range(2):
        growing.hold()
        growing.hold()
        growing.release()
        growing.release()
    assert heard == [0, 0]
    growing.release()
    assert heard == [0, 0]
