"""`proxima dns serve`: runs until SIGTERM or SIGINT, then drains; SIGHUP looks at the database."""

import argparse
import asyncio
import os
import sys

from config import ConfigError, DnsSettings, given_flags, load_dns
from hub.dns.app import DnsProcess
from hub.dns.cli.runner import Runner
from proxy.serving import life, notify
from proxy.serving.sockets import as_text
from proxy.telemetry.logs import EventLog, Level


def run(arguments: argparse.Namespace, runner: Runner) -> int:
    """Run the process beside a DNS server."""
    settings = _load(arguments)
    return 2 if settings is None else runner(_serve(settings))


def _load(arguments: argparse.Namespace) -> DnsSettings | None:
    """Give the settings; None after printing what is wrong with them."""
    flags = given_flags(arguments, DnsSettings)
    try:
        return load_dns(arguments.config, os.environ, flags)
    except ConfigError as exc:
        for problem in exc.problems:
            print(f"proxima: {problem}", file=sys.stderr)
        return None


async def _serve(settings: DnsSettings) -> int:
    log = EventLog(sys.stdout.fileno(), Level[settings.log.level.name])
    stopping, hung_up = life.end_signals(), life.hangup_signals()
    process = DnsProcess(settings, log)
    try:
        await process.start()
    except (OSError, ValueError) as exc:
        log.flush()
        print(f"proxima: can't start: {exc}", file=sys.stderr)
        return 1
    log.info(
        "dns.ready",
        backend=as_text(process.backend_address),
        ops=as_text(process.ops_address),
        hub=settings.hub.url,
    )
    notify.ready()
    rereading = asyncio.create_task(_reread(process, hung_up))
    await stopping.wait()
    notify.stopping()
    rereading.cancel()
    await asyncio.gather(rereading, return_exceptions=True)
    await process.stop()
    log.flush()
    return 0


async def _reread(process: DnsProcess, looking: asyncio.Event) -> None:
    while True:
        await looking.wait()
        looking.clear()
        await process.reread()
