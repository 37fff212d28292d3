"""`proxima dns export`: each region's records, for private zones and for any other DNS server."""

import argparse
import asyncio
import shlex
import signal
import sys
import time
from pathlib import Path

from config import parse_duration
from hub.dns.cli.runner import Runner
from hub.dns.exporting import Exporter, Folder, NotExportable
from hub.dns.follower import POLL_SECONDS, Follower
from hub.dns.hook import Hook
from hub.dns.kept import NotKept
from hub.dns.regional import Format, Regional
from hub.dns.source import NoSource, add_source, following_limits, open_hub, state_of
from proxy.serving.standing import keep_running
from proxy.telemetry.logs import EventLog, Level

HOOK_SECONDS = 60.0
ANSWER_SECONDS = POLL_SECONDS + 10.0


def add_export(verb: argparse.ArgumentParser) -> None:
    """Add its flags."""
    add_source(verb)
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--region", metavar="NAME", help="the records of one region's clients")
    which.add_argument("--all", action="store_true", help="those of all regions (the default)")
    verb.add_argument("--domain", metavar="NAME", help="the shared name; absent: what the hub says")
    verb.add_argument("--format", type=Format, choices=list(Format), default=Format.ZONE)
    verb.add_argument(
        "--nameserver",
        dest="nameservers",
        action="append",
        default=[],
        metavar="NAME",
        help="a name server of the zone (may be given again); absent: ns.NAME",
    )
    verb.add_argument(
        "--out", type=Path, metavar="DIR", help="write a file for each region, instead of printing"
    )
    verb.add_argument("--follow", action="store_true", help="go on as the hub tells of changes")
    verb.add_argument(
        "--hook", metavar="COMMAND", help="run it, without a shell, with the files that changed"
    )
    verb.add_argument(
        "--hook-limit",
        type=_seconds,
        default=HOOK_SECONDS,
        metavar="TIME",
        help="how long it may take (default 60s)",
    )
    verb.set_defaults(verb=run)


def run(arguments: argparse.Namespace, runner: Runner) -> int:
    """0 if all is written, and the hook content; 1 if not, 2 if the regions can't be had."""
    if problem := _problem(arguments):
        print(f"proxima: {problem}", file=sys.stderr)
        return 2
    return runner(_telling(arguments))


def _problem(arguments: argparse.Namespace) -> str:
    if arguments.catalogue and not arguments.domain:
        return "--catalogue doesn't say the shared name: give --domain NAME"
    if (arguments.follow or arguments.hook) and arguments.out is None:
        return "--follow and --hook are about files: give --out DIR"
    if arguments.follow and arguments.catalogue:
        return "--follow is about a hub, and a catalogue alone was given"
    if arguments.out is not None and not arguments.out.is_dir():
        return f"{arguments.out}: no such folder"
    return ""


async def _telling(arguments: argparse.Namespace) -> int:
    log = EventLog(sys.stderr.fileno(), Level.INFO)
    try:
        return await (_follow if arguments.follow else _once)(arguments, log)
    except NoSource as exc:
        print(f"proxima: {exc}", file=sys.stderr)
        return 2
    except (NotExportable, OSError) as exc:
        print(f"proxima: {exc}", file=sys.stderr)
        return 1
    finally:
        log.flush()


async def _once(arguments: argparse.Namespace, log: EventLog) -> int:
    state = await state_of(arguments, arguments.domain or "")
    texts = _regional(arguments).texts
    if arguments.out is None:
        now = int(time.time())
        print("\n".join(text(now) for text in texts(state).values()), end="")
        return 0
    changed = await asyncio.to_thread(Folder(arguments.out, texts).update, state)
    for path in changed:
        print(path)
    hook = _hook(arguments, log)
    if hook is None or not changed:
        return 0
    return 0 if await hook.run(changed) else 1


async def _follow(arguments: argparse.Namespace, log: EventLog) -> int:
    exporter = Exporter(
        Folder(arguments.out, _regional(arguments).texts), _hook(arguments, log), log
    )
    async with open_hub(arguments, following_limits(ANSWER_SECONDS)) as hub:
        follower = Follower(hub, NotKept(), exporter.take, log)
        works = {"follower": follower.run, "exporter": exporter.run}
        working = asyncio.create_task(keep_running(works, log))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, working.cancel)
        await asyncio.wait((working,))
    return 0


def _regional(arguments: argparse.Namespace) -> Regional:
    return Regional(
        arguments.format, arguments.domain, tuple(arguments.nameservers), arguments.region
    )


def _hook(arguments: argparse.Namespace, log: EventLog) -> Hook | None:
    if not arguments.hook:
        return None
    return Hook(tuple(shlex.split(arguments.hook)), arguments.hook_limit, log)


def _seconds(text: str) -> float:
    try:
        return float(parse_duration(text))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text}: expected a duration like 10m") from exc
