"""`proxima replica`: runs until SIGTERM or SIGINT, then drains."""

import argparse
import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import aiohttp

from config import Change, ConfigError, Settings
from proxy.app import Replica
from proxy.cli.join import NotJoined
from proxy.cli.settings import load_settings, read_settings
from proxy.oci.errors import RegistryError
from proxy.registry.sqlite_file import SchemaTooNew
from proxy.registry.tree import StoreInUse
from proxy.serving import life, notify, reloading
from proxy.serving.descriptors import raise_limit
from proxy.serving.reloading import NotReloaded
from proxy.serving.sockets import as_text
from proxy.telemetry.logs import EventLog, Level

MINIMUM_AIOHTTP = (3, 14, 4)

Runner = Callable[[Coroutine[Any, Any, int]], int]


def run(arguments: argparse.Namespace, runner: Runner) -> int:
    """Run the replica."""
    settings = load_settings(arguments)
    if settings is None:
        return 2
    if (problem := unfit_aiohttp()) is not None:
        print(f"proxima: {problem}", file=sys.stderr)
        return 2
    raise_limit()
    return runner(_serve(settings, arguments))


def unfit_aiohttp() -> str | None:
    """Say what is wrong with the installed aiohttp: its older parsers can be fooled."""
    version = tuple(int(part) for part in aiohttp.__version__.split(".")[:3] if part.isdigit())
    if version < MINIMUM_AIOHTTP:
        return f"aiohttp {aiohttp.__version__} is too old: 3.14.4 or newer is needed"
    if "_http_parser" not in aiohttp.http_parser.HttpRequestParser.__module__:
        return "aiohttp runs without its C parser (AIOHTTP_NO_EXTENSIONS?), which is needed"
    return None


async def _serve(settings: Settings, arguments: argparse.Namespace) -> int:
    always = {"region": settings.region} if settings.region else {}
    log = EventLog(sys.stdout.fileno(), Level[settings.log.level.name], **always)
    stopping, hung_up = life.end_signals(), life.hangup_signals()
    replica = Replica(settings, log)
    try:
        await replica.start()
    except (StoreInUse, SchemaTooNew, ConfigError, RegistryError, OSError, ValueError) as exc:
        log.flush()
        cause = f": {exc.__cause__}" if exc.__cause__ else ""
        print(f"proxima: can't start: {exc}{cause}", file=sys.stderr)
        return 1
    gc.collect()
    gc.freeze()  # what lives as long as the process needn't be looked at by every collection
    log.info(
        "replica.ready",
        registry=[as_text(address) for address in replica.registry_addresses],
        ops=as_text(replica.ops_address),
        primary=settings.primary.url,
        store=str(settings.store.root),
    )
    notify.ready()
    replica.on_hub_settings = hung_up.set
    reload = partial(_reload, arguments, replica)
    reloads = asyncio.create_task(reloading.follow(hung_up, reload, log))
    await stopping.wait()
    notify.stopping()
    reloads.cancel()
    await asyncio.wait((reloads,))
    await life.stop(replica, stopping)
    log.flush()
    return 0


async def _reload(arguments: argparse.Namespace, replica: Replica) -> Change[Settings]:
    """Read and apply. Raises: NotReloaded: nothing has changed."""
    try:
        return await replica.reload(await asyncio.to_thread(read_settings, arguments))
    except (ConfigError, NotJoined) as exc:
        raise NotReloaded(getattr(exc, "problems", (exc,))) from exc
