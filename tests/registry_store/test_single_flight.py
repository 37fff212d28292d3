"""One running call for each key, owned by nobody who asked."""

import asyncio
import gc
from contextlib import suppress

import pytest

from proxy.registry.single_flight import SingleFlight


class Work:
    """A call that waits until the test lets it end, and counts how often it was started."""

    def __init__(self) -> None:
        self.started = 0
        self.cancelled = 0
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.started += 1
        try:
            return await self.end
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@pytest.fixture
async def flights():
    return SingleFlight()


@pytest.fixture
async def work():
    return Work()


@pytest.fixture
async def unseen():
    """Collects what the loop would complain of: errors that nobody looked at."""
    found = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    yield found
    asyncio.get_running_loop().set_exception_handler(None)


async def begin(flights, key, work, count):
    tasks = [asyncio.create_task(flights.run(key, work)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_callers_share_one_call_and_its_result(flights, work):
    """A thousand callers of one key start one call, and all get what it gives."""
    tasks = await begin(flights, "key", work, 1000)
    assert flights.is_running("key")
    work.end.set_result("done")
    assert await asyncio.gather(*tasks) == ["done"] * 1000
    assert work.started == 1
    assert not flights.is_running("key")
    assert len(flights) == 0


async def test_keys_are_independent(flights):
    """Another key is another call."""
    first, second = Work(), Work()
    tasks = [*await begin(flights, 1, first, 1), *await begin(flights, 2, second, 1)]
    second.end.set_result("two")
    assert await tasks[1] == "two"
    assert not tasks[0].done()
    first.end.set_result("one")
    assert await tasks[0] == "one"


async def test_the_leader_may_leave(flights, work):
    """C8: the first caller's cancellation ends nothing for those who joined."""
    leader, *others = await begin(flights, "key", work, 3)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    work.end.set_result("done")
    assert await asyncio.gather(*others) == ["done", "done"]
    assert (work.started, work.cancelled) == (1, 0)


async def test_everybody_may_leave(flights, work, unseen):
    """C8: a call goes on when all callers have left; its error then concerns nobody."""
    tasks = await begin(flights, "key", work, 3)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert flights.is_running("key")
    work.end.set_exception(RuntimeError("nobody listens"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(flights) == 0
    del tasks
    gc.collect()
    assert unseen == []


async def test_an_error_reaches_every_waiter(flights, work, unseen):
    """C8: the call's error is everybody's, and the next caller starts a new call."""
    tasks = await begin(flights, "key", work, 50)
    error = RuntimeError("broken")
    work.end.set_exception(error)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(each is error for each in found)
    again = Work()
    again.end.set_result("done")
    assert await flights.run("key", again) == "done"
    gc.collect()
    assert unseen == []


async def test_a_call_behind_is_joined_and_never_complains(flights, work, unseen):
    """A call started behind for its effect is one call too; its error is logged by nobody."""
    flights.start_behind("key", work)
    (joined,) = await begin(flights, "key", work, 1)
    work.end.set_exception(RuntimeError("broken"))
    with pytest.raises(RuntimeError):
        await joined
    flights.start_behind("key", Work())
    await flights.close()
    gc.collect()
    assert work.started == 1
    assert unseen == []


async def test_nobody_joins_a_call_that_has_ended(flights, work):
    """An answer that was there before the question is none: whoever asks then starts a new call."""
    second = Work()
    second.end.set_result("new")
    outcomes: list[str] = []

    def ask_at_once(_: object) -> None:
        outcomes.append("running" if flights.is_running("key") else "ended")
        call = flights.run("key", second)
        try:
            call.send(None)
        except StopIteration as end:
            outcomes.append(end.value)
        else:
            call.close()
            outcomes.append("a new call")

    (first,) = await begin(flights, "key", work, 1)
    work.end.add_done_callback(ask_at_once)  # right after the call has seen its result
    work.end.set_result("old")
    assert await first == "old"
    assert outcomes == ["ended", "a new call"]
    assert await flights.run("key", second) == "new"


async def test_close_ends_what_runs_and_leaves_nothing(flights):
    """`close` cancels the calls, waits for them, and forgets them."""
    works = [Work() for _ in range(5)]
    tasks = [each for key, work in enumerate(works) for each in await begin(flights, key, work, 2)]
    await flights.close()
    assert [work.cancelled for work in works] == [1] * 5
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    assert len(flights) == 0
