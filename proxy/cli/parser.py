"""Which verbs there are and what they take. Flags of settings come from the settings model."""

import argparse
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from config import Settings, add_flags
from proxy import __version__
from proxy.cli import check, client, explain, hub_parser, join, pin, replica, verbs_parser
from proxy.cli.hub_access import add_hub

ELSEWHERE = {
    "hub": ("hub.cli:main", "run the hub beside the primary, or one of its verbs"),
    "dns": ("hub.dns.cli:main", "tell DNS servers where clients go; check what they answer"),
}
"""Verbs of other programs under this command: what does them, loaded only when it is asked for."""


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line; `verb` of the result is what to call."""
    if argv and argv[0] in ELSEWHERE:
        return argparse.Namespace(verb=_run_elsewhere, name=argv[0], rest=argv[1:])
    parser = argparse.ArgumentParser(
        prog="proxima", description="A nearest-region pull proxy for OCI registries."
    )
    parser.add_argument("--version", action="version", version=f"proxima {__version__}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    _add_replica(verbs.add_parser)
    _add_check(verbs.add_parser)
    _add_client(verbs.add_parser)
    _add_explain(verbs.add_parser)
    _add_pins(verbs.add_parser)
    verbs_parser.add_verbs(verbs.add_parser, _add_settings)
    hub_parser.add_hub_verbs(verbs.add_parser)
    for name, (_, what) in ELSEWHERE.items():
        verbs.add_parser(name, help=what)
    return parser.parse_args(argv)


def _run_elsewhere(arguments: argparse.Namespace, runner: object) -> int:
    target, _ = ELSEWHERE[arguments.name]
    module, _, name = target.partition(":")
    status: int = getattr(importlib.import_module(module), name)(arguments.rest, runner)
    return status


AddVerb = Callable[..., argparse.ArgumentParser]


def _add_replica(add: AddVerb) -> None:
    verb = add("replica", help="run one region's proxy")
    _add_settings(verb)
    join.add_join(verb)
    verb.set_defaults(verb=replica.run)


def _add_check(add: AddVerb) -> None:
    verb = add(
        "check-config", help="say what is wrong with the settings, and whether the primary answers"
    )
    _add_settings(verb)
    verb.add_argument("--offline", action="store_true", help="don't ask the primary")
    verb.set_defaults(verb=check.run)


def _add_client(add: AddVerb) -> None:
    verb = add("client-config", help="print what to put where on a node")
    verb.add_argument("runtime", choices=sorted(client.WRITERS))
    verb.add_argument("--registry", required=True, help="the registry domain that images name")
    verb.add_argument("--replica", required=True, help="URL of the replica, as the node reaches it")
    verb.add_argument("--ca", type=Path, help="certificates that the node shall trust for it, PEM")
    verb.set_defaults(verb=client.run)


def _add_explain(add: AddVerb) -> None:
    verb = add("explain", help="say what a pull would do right now, and why")
    verb.add_argument("reference", help="[host/]repository[:tag|@digest]")
    verb.add_argument(
        "--from",
        dest="client",
        metavar="ADDRESS",
        help="of a client anywhere: ask the hub where it goes, instead of the replica here",
    )
    add_hub(verb)
    _add_settings(verb)
    verb.add_argument("--json", action="store_true", help="print a JSON document")
    verb.set_defaults(verb=explain.run)


def _add_pins(add: AddVerb) -> None:
    what = "[host/]repository[:tag|@digest]; no tag: all tags of the repository"
    verbs = (
        add("pin", help="let something stay, whatever room is needed"),
        add("unpin", help="take a pin away"),
    )
    for verb, run in zip(verbs, (pin.pin, pin.unpin), strict=True):
        verb.add_argument("reference", help=what)
        verb.set_defaults(verb=run)
    listing = add("pins", help="list the pins and what they hold")
    listing.set_defaults(verb=pin.pins)
    for verb in (*verbs, listing):
        _add_settings(verb)
        verb.add_argument("--json", action="store_true", help="print a JSON document")


def _add_settings(verb: argparse.ArgumentParser) -> None:
    add_flags(verb, Settings)
