"""How often a transfer may break, and how long to wait before it goes on."""

import asyncio

from proxy.oci.errors import Unavailable

MAX_BREAKS_WITHOUT_PROGRESS = 3
PROGRESS_BYTES = 8 << 20
WAIT_AFTER_BREAK_SECONDS = (0.0, 0.2, 1.0)
MAX_RETRY_AFTER_SECONDS = 10


class Breaks:
    """One transfer's breaks: a few in a row are allowed, any number with progress between them."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._last_offset = 0

    @property
    def is_last(self) -> bool:
        """Say whether the next break would be one too many."""
        return self._in_a_row >= MAX_BREAKS_WITHOUT_PROGRESS

    async def wait(self, offset: int, error: Unavailable) -> None:
        """Wait before the next try.

        Raises: *error* where it was the last one.
        """
        if offset - self._last_offset >= PROGRESS_BYTES:
            self._in_a_row = 0
            self._last_offset = offset
        if self.is_last:
            raise error
        pause = WAIT_AFTER_BREAK_SECONDS[self._in_a_row]
        if error.is_time_named:
            pause = max(pause, min(error.retry_after_seconds, MAX_RETRY_AFTER_SECONDS))
        self._in_a_row += 1
        await asyncio.sleep(pause)
