"""SIGHUP: the settings are read again, and what may change at run time does."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from proxy.serving import notify
from proxy.telemetry.logs import EventLog


class Change(Protocol):
    """What came of it, as keys of settings."""

    @property
    def changed(self) -> Sequence[str]:
        """What holds from now on."""
        ...

    @property
    def needs_restart(self) -> Sequence[str]:
        """What waits."""
        ...


class NotReloaded(Exception):
    """Nothing has changed, and why."""

    def __init__(self, problems: Sequence[object]) -> None:
        super().__init__()
        self.problems = [str(each) for each in problems]


async def follow(
    hung_up: asyncio.Event, reload: Callable[[], Awaitable[Change]], log: EventLog
) -> None:
    """Reload at each signal, for as long as this runs; signals meanwhile make one more reload.

    *reload* reads and applies; it raises NotReloaded where that can't be done.
    """
    while True:
        await hung_up.wait()
        hung_up.clear()
        notify.reloading()
        await _reload(reload, log)
        notify.ready()


async def _reload(reload: Callable[[], Awaitable[Change]], log: EventLog) -> None:
    try:
        made = await reload()
    except NotReloaded as exc:
        log.error("settings.not_reloaded", problems=exc.problems)
        return
    log.info("settings.reloaded", changed=list(made.changed))
    if made.needs_restart:
        log.warning("settings.need_restart", keys=list(made.needs_restart))
