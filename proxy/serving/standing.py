"""Work that goes on as long as the service: what ends in its middle is told, and begun anew.

No request waits for any of it. So a fault that nobody thought of costs one such piece some
seconds, and shows in the log, instead of ending it or its neighbours without a word.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from proxy.telemetry.logs import EventLog

AGAIN_SECONDS = 5.0

Work = Callable[[], Awaitable[None]]


async def keep_running(works: Mapping[str, Work], log: EventLog) -> None:
    """Do all of *works*, by name, until cancelled or all have ended by themselves."""
    async with asyncio.TaskGroup() as tasks:
        for name, work in works.items():
            tasks.create_task(_keep(name, work, log))


async def _keep(name: str, work: Work, log: EventLog) -> None:
    while True:
        try:
            await work()
        except Exception as exc:  # noqa: BLE001  # whatever it is, it is told and gone on after
            log.error("work.crashed", work=name, error=repr(exc))
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            return
