"""`proxima hub` and its verbs."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from config import ConfigError, HubSettings, check_hub, load_hub, settings_of
from hub.app import Hub
from hub.database import DatabaseDamaged, DatabaseInUse, DatabaseUnavailable
from hub.migrate import SchemaTooNew
from proxy.serving.sockets import as_text
from proxy.telemetry.logs import EventLog, Level

Runner = Callable[[Coroutine[Any, Any, int]], int]
CANT_START = (
    ConfigError,
    DatabaseDamaged,
    DatabaseInUse,
    DatabaseUnavailable,
    SchemaTooNew,
    OSError,
    ValueError,
)


def main(argv: Sequence[str], runner: Runner) -> int:
    """Do what a command line after `proxima hub` says; give the exit status."""
    arguments = _parser().parse_args(argv)
    status: int = arguments.verb(arguments, runner)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="proxima hub",
        description="The service beside the primary: receives its notifications, tells replicas.",
    )
    _add_settings(parser, None)
    parser.set_defaults(verb=_run)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    check = verbs.add_parser("check-config", help="say what is wrong with the settings")
    check.set_defaults(verb=_check)
    for verb in (check,):
        _add_settings(verb, argparse.SUPPRESS)
    return parser


def _add_settings(verb: argparse.ArgumentParser, default: str | None) -> None:
    verb.add_argument("--config", type=Path, help="settings file, TOML", default=default)
    for setting in settings_of(HubSettings):
        if setting.rule.flag:
            verb.add_argument(
                setting.rule.flag,
                dest=setting.key,
                metavar="VALUE",
                help=setting.rule.doc,
                default=default,
            )


def load_settings(arguments: argparse.Namespace) -> HubSettings | None:
    """Give the settings; None after printing what is wrong with them."""
    flags = {
        setting.key: getattr(arguments, setting.key)
        for setting in settings_of(HubSettings)
        if setting.rule.flag
    }
    try:
        return load_hub(arguments.config, os.environ, flags)
    except ConfigError as exc:
        for problem in exc.problems:
            print(f"proxima: {problem}", file=sys.stderr)
        return None


def _check(arguments: argparse.Namespace, _runner: Runner) -> int:
    settings = load_settings(arguments)
    if settings is None:
        return 2
    problems = check_hub(settings)
    for problem in problems:
        print(f"proxima: {problem}", file=sys.stderr)
    if not problems:
        print("The settings are good.")
    return 2 if problems else 0


# --- running ------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace, runner: Runner) -> int:
    settings = load_settings(arguments)
    return 2 if settings is None else runner(_serve(settings))


async def _serve(settings: HubSettings) -> int:
    log = EventLog(sys.stdout.fileno(), Level[settings.log.level.name])
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    hub = Hub(settings, log)
    try:
        await hub.start()
    except CANT_START as exc:
        log.flush()
        cause = f": {exc.__cause__}" if exc.__cause__ else ""
        print(f"proxima: can't start: {exc}{cause}", file=sys.stderr)
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
