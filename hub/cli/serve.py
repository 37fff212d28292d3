"""`proxima hub`: runs until SIGTERM or SIGINT, then drains."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from config import ConfigError, HubSettings
from hub.app import Hub
from hub.cli.settings import load_settings
from hub.database import DatabaseDamaged, DatabaseInUse, DatabaseUnavailable
from hub.migrate import SchemaTooNew
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
    return 2 if settings is None else runner(_serve(settings))


def why(exc: Exception) -> str:
    """Give what an operator is told of what went wrong."""
    return f"{exc}: {exc.__cause__}" if exc.__cause__ else f"{exc}"


async def _serve(settings: HubSettings) -> int:
    log = EventLog(sys.stdout.fileno(), Level[settings.log.level.name])
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
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
    await stopping.wait()
    await hub.stop()
    log.flush()
    return 0
