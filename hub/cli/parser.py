"""Which verbs there are and what they take."""

import argparse
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from config import HubSettings, add_flags
from hub.cli import epoch, parked, serve
from hub.cli.settings import check

Runner = Callable[[Coroutine[Any, Any, int]], int]


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
    add_flags(parser, HubSettings)
    parser.set_defaults(verb=serve.run)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    checks = verbs.add_parser("check-config", help="say what is wrong with the settings")
    checks.set_defaults(verb=check)
    renewed = verbs.add_parser(
        "new-epoch",
        help="name the log anew after its database was brought back from a backup, so that "
        "replicas look at everything again; the hub must not run",
    )
    renewed.set_defaults(verb=epoch.run)
    letters = verbs.add_parser("parked", help="notifications that weren't understood")
    for verb in (checks, renewed, *_add_parked(letters)):
        add_flags(verb, HubSettings, argparse.SUPPRESS)
    return parser


def _add_parked(letters: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    verbs = letters.add_subparsers(title="verbs", metavar="VERB", required=True)
    listed = verbs.add_parser("list", help="show them")
    listed.set_defaults(verb=parked.show)
    replayed = verbs.add_parser("replay", help="try them once more")
    replayed.set_defaults(verb=parked.replay)
    removed = verbs.add_parser("remove", help="forget them")
    removed.set_defaults(verb=parked.remove)
    for verb in (replayed, removed):
        verb.add_argument("ids", nargs="+", type=int, metavar="ID")
    for verb in (listed, replayed, removed):
        add_hub(verb)
    return [listed, replayed, removed]


def add_hub(verb: argparse.ArgumentParser) -> None:
    """Add what a verb needs that speaks to a hub."""
    verb.add_argument("--hub", metavar="URL", help="URL of the hub, if the settings aren't here")
    verb.add_argument("--token-file", type=Path, help="file with a token of operators")
    verb.add_argument("--ca-file", type=Path, help="certificates that are trusted at the hub, PEM")
    verb.add_argument("--json", action="store_true", help="print JSON")
