"""Work that goes on as long as the service: what ends in its middle is told, and begun anew.

No request waits for any of it. So a fault that nobody thought of costs one such piece some
seconds, and shows in the log, instead of ending it or its neighbours without a word.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from proxy.telemetry.logs import EventLog

AGAIN_SECONDS = 5.0
STEADY_SECONDS = 60.0
"""What ran for as long before it crashed, or since, isn't about to crash again."""
REPEATED_CRASHES = 3

Work = Callable[[], Awaitable[None]]


class Crashes:
    """How often each work crashed in a row, and when last."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._crashes: dict[str, tuple[int, float]] = {}

    def note(self, name: str) -> None:
        """Take one more into account."""
        number, at = self._crashes.get(name, (0, float("-inf")))
        now = self._now()
        self._crashes[name] = (1 if now - at > STEADY_SECONDS else number + 1, now)

    @property
    def repeated(self) -> tuple[str, ...]:
        """Give the works that crash again and again."""
        since = self._now() - STEADY_SECONDS
        return tuple(
            name
            for name, (number, at) in self._crashes.items()
            if number >= REPEATED_CRASHES and at >= since
        )


async def keep_running(
    works: Mapping[str, Work], log: EventLog, crashes: Crashes | None = None
) -> None:
    """Do all of *works*, by name, until cancelled or all have ended by themselves."""
    crashes = crashes or Crashes()
    async with asyncio.TaskGroup() as tasks:
        for name, work in works.items():
            tasks.create_task(_keep(name, work, log, crashes))


async def _keep(name: str, work: Work, log: EventLog, crashes: Crashes) -> None:
    while True:
        try:
            await work()
        except Exception as exc:  # noqa: BLE001  # whatever it is, it is told and gone on after
            crashes.note(name)
            log.error("work.crashed", work=name, error=repr(exc))
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            return
