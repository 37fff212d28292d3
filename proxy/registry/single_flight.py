"""One running call for each key: whoever asks meanwhile gets its result, or its error."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Calls are owned here, not by who asked first: a caller that leaves ends nothing.

    A call that has ended is joined by nobody, even before it is forgotten: its answer was there
    before the question.
    """

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Future[T]] = {}

    async def run(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        """Give the result of the call that is running for *key*, else start *work*."""
        return await asyncio.shield(self._start(key, work))

    def _start(self, key: K, work: Callable[[], Awaitable[T]]) -> asyncio.Future[T]:
        task = self._running.get(key)
        if task is None or task.done():
            task = asyncio.ensure_future(_call(work))
            self._running[key] = task
            task.add_done_callback(lambda ended: self._forget(key, ended))
        return task

    def start_behind(self, key: K, work: Callable[[], Awaitable[T]]) -> None:
        """Start *work* for its effect; its outcome concerns nobody here."""
        _ = self._start(key, work)

    def is_running(self, key: K) -> bool:
        """Say whether a call for *key* is running."""
        task = self._running.get(key)
        return task is not None and not task.done()

    def _forget(self, key: K, task: asyncio.Future[T]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # seen, even if everybody who asked has left

    def __len__(self) -> int:
        return len(self._running)

    async def close(self) -> None:
        """End what is running."""
        tasks = tuple(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _call(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
