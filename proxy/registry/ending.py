"""Work that goes to its end, whatever happens to who waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Give what *work* gives. A cancellation waits for the end of the work, then it is raised.

    For work whose threads use what a cancelled caller would take away: a descriptor that is closed
    is another file's a moment later.
    """
    task = asyncio.ensure_future(work)
    is_cancelled = False
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        if not task.cancelled():
            task.exception()  # seen: the cancellation is what counts now
        raise asyncio.CancelledError
    return task.result()
