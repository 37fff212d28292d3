"""SIGHUP: the settings are read again, and what may change at run time does."""

import argparse
import asyncio

from config import ConfigError
from proxy.app import Replica
from proxy.cli import notify
from proxy.cli.join import NotJoined
from proxy.cli.settings import read_settings
from proxy.telemetry.logs import EventLog


async def follow(
    hung_up: asyncio.Event, arguments: argparse.Namespace, replica: Replica, log: EventLog
) -> None:
    """Reload at each signal, for as long as this runs; signals meanwhile make one more reload."""
    while True:
        await hung_up.wait()
        hung_up.clear()
        notify.reloading()
        await _reload(arguments, replica, log)
        notify.ready()


async def _reload(arguments: argparse.Namespace, replica: Replica, log: EventLog) -> None:
    """Read and apply. Settings with problems change nothing; all problems are logged."""
    try:
        fresh = await asyncio.to_thread(read_settings, arguments)
        made = await replica.reload(fresh)
    except (ConfigError, NotJoined) as exc:
        problems = [str(each) for each in getattr(exc, "problems", (exc,))]
        log.error("settings.not_reloaded", problems=problems)
        return
    log.info("settings.reloaded", changed=list(made.changed))
    if made.needs_restart:
        log.warning("settings.need_restart", keys=list(made.needs_restart))
