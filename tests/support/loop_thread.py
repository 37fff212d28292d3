"""An event loop in a thread of its own, so that servers serve sync and async tests alike."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

CALL_SECONDS = 30.0


class LoopThread:
    """A running loop for the length of the block; its tasks end with it."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.run(self._wind_up())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CALL_SECONDS)
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Give what *work* gives, run on the loop of this thread."""
        return self.submit(work).result(CALL_SECONDS)

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start *work* on the loop of this thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    async def _wind_up(self) -> None:
        await _let_run()  # connections that were just accepted get their transports
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._abort_transports()
        await _let_run()
        await self.loop.shutdown_asyncgens()

    def _abort_transports(self) -> None:
        """Close what a cancelled handshake or handler has left: a loop that stops doesn't."""
        for transport in list(getattr(self.loop, "_transports", {}).values()):
            transport.abort()


async def _let_run() -> None:
    """Let callbacks run that are due, and those that they call soon."""
    for _ in range(5):
        await asyncio.sleep(0)
