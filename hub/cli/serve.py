"""`proxima hub`: runs until SIGTERM or SIGINT, then drains; SIGHUP reads its settings again."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from config import Change, ConfigError, HubSettings
from hub.app import Hub
from hub.cli.settings import load_settings, read_settings
from hub.database import DatabaseDamaged, DatabaseInUse, DatabaseUnavailable
from hub.migrate import SchemaTooNew
from proxy.serving import life, notify, reloading
from proxy.serving.descriptors import raise_limit
from proxy.serving.reloading import NotReloaded
from proxy.serving.sockets import as_text
from proxy.telemetry.logs import EventLog, Level

Runner = Callable[[Coroutine[Any, Any, int]], int]
CANT_OPEN = (
    ConfigError,
    DatabaseDamaged,
    DatabaseInUse,
    DatabaseUnavailable,
    SchemaTooNew,
    OSError,
    ValueError,
)


def run(arguments: argparse.Namespace, runner: Runner) -> int:
    """Run the hub."""
    settings = load_settings(arguments)
    if settings is None:
        return 2
    raise_limit()
    return runner(_serve(settings, arguments))


def why(exc: Exception) -> str:
    """Give what an operator is told of what went wrong."""
    return f"{exc}: {exc.__cause__}" if exc.__cause__ else f"{exc}"


async def _serve(settings: HubSettings, arguments: argparse.Namespace) -> int:
    log = EventLog(sys.stdout.fileno(), Level[settings.log.level.name])
    stopping, hung_up = life.end_signals(), life.hangup_signals()
    hub = Hub(settings, log)
    try:
        await hub.start()
    except CANT_OPEN as exc:
        log.flush()
        print(f"proxima: can't start: {why(exc)}", file=sys.stderr)
        return 1
    log.info(
        "hub.ready",
        api=[as_text(address) for address in hub.api_addresses],
        ops=as_text(hub.ops_address),
        primary=settings.primary.url,
    )
    notify.ready()
    reload = partial(_reload, arguments, hub)
    reloads = asyncio.create_task(reloading.follow(hung_up, reload, log))
    await stopping.wait()
    notify.stopping()
    reloads.cancel()
    await asyncio.wait((reloads,))
    await life.stop(hub, stopping)
    log.flush()
    return 0


async def _reload(arguments: argparse.Namespace, hub: Hub) -> Change[HubSettings]:
    """Read and apply. Raises: NotReloaded: nothing has changed."""
    try:
        return await hub.reload(await asyncio.to_thread(read_settings, arguments))
    except ConfigError as exc:
        raise NotReloaded(exc.problems) from exc
