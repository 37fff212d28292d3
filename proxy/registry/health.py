"""Whether the disk is fit to be written to.

Rules:
- A file system that is read-only, or says that it is broken, is given up at once; a disk that
  fails again and again after some failures within a minute. One that is full is none of these.
- From then on nothing new is written: hits are served, misses pass through. What is removed or set
  aside is tried all the same.
- It is tried again after a while, and less and less often as long as that fails.
"""

import asyncio
import errno
from collections import deque
from collections.abc import Awaitable, Callable

from proxy.oci.errors import StoreUnavailable
from proxy.telemetry.logs import EventLog

MANY_FAILURES = 5
WITHIN_SECONDS = 60.0
FIRST_RETRY_SECONDS = 2.0
LAST_RETRY_SECONDS = 300.0

BROKEN = frozenset({errno.EROFS, errno.EUCLEAN, errno.ENXIO, errno.ENODEV, errno.ESTALE})
FAILING = frozenset({errno.EIO, errno.ETIMEDOUT, errno.EREMOTEIO, errno.EBADMSG}) | BROKEN


class Health:
    """The state of one disk; *now* gives the time in seconds."""

    def __init__(self, log: EventLog, now: Callable[[], float]) -> None:
        self._log = log
        self._now = now
        self._failed_at: deque[float] = deque(maxlen=MANY_FAILURES)
        self._sick = asyncio.Event()
        self._since = 0.0
        self._reason = ""

    @property
    def is_sick(self) -> bool:
        """Say whether nothing is to be written now."""
        return self._sick.is_set()

    def require_writable(self) -> None:
        """Return if something may be written.

        Raises: StoreUnavailable.
        """
        if self.is_sick:
            raise StoreUnavailable("the store is read-only: its disk fails")

    def as_document(self) -> dict[str, object]:
        """Give what `/readyz` tells."""
        if not self.is_sick:
            return {"state": "writable"}
        seconds = round(self._now() - self._since, 1)
        return {"state": "read-only", "reason": self._reason, "seconds": seconds}

    def note_failure(self, exc: OSError) -> None:
        """Note what the disk refused; it may be enough now."""
        if exc.errno not in FAILING:
            return
        self._failed_at.append(self._now())
        is_often = len(self._failed_at) == MANY_FAILURES
        is_often = is_often and self._now() - self._failed_at[0] <= WITHIN_SECONDS
        if not self.is_sick and (is_often or exc.errno in BROKEN):
            self._since, self._reason = self._now(), str(exc)
            self._sick.set()
            self._log.error("store.read_only", error=str(exc))

    async def watch(self, try_it: Callable[[], Awaitable[bool]]) -> None:
        """Try the disk again and again while it is sick, for ever."""
        while True:
            await self._sick.wait()
            wait_seconds = FIRST_RETRY_SECONDS
            await asyncio.sleep(wait_seconds)
            while not await _is_fit(try_it):
                wait_seconds = min(2 * wait_seconds, LAST_RETRY_SECONDS)
                await asyncio.sleep(wait_seconds)
            self._failed_at.clear()
            self._sick.clear()
            self._log.info("store.writable", seconds=round(self._now() - self._since, 1))


async def _is_fit(try_it: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await try_it()
    except StoreUnavailable:
        return False
