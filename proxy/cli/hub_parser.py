"""The command lines of the verbs that speak to a hub."""

import argparse
from collections.abc import Callable
from pathlib import Path

from config import parse_duration
from proxy.cli import logs, networks, regions, replay, replicas, wait
from proxy.cli.hub_access import add_hub

AddVerb = Callable[..., argparse.ArgumentParser]
STATES = (
    "waiting",
    "running",
    "complete",
    "failed",
    "dead",
    "superseded",
    "skipped",
    "evicted",
)


def add_hub_verbs(add: AddVerb) -> None:
    """Add them all."""
    _add_replicas(add("replicas", help="make, list, show and delete replica instances"))
    _add_logs(add("logs", help="what became of each artifact in each region"))
    _add_wait(add("wait", help="wait until an image is complete in a region, or in all"))
    _add_replay(add("replay", help="let replicas see events of the hub's log once more"))
    _add_regions(add)
    _add_networks(add("networks", help="link networks to regions, list and unlink them"))


def _add_replicas(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="make one in a region that has none")
    create.add_argument("--region", required=True, metavar="NAME")
    create.add_argument(
        "--write-token",
        type=Path,
        metavar="FILE",
        help="write the join token to a new file, instead of showing it",
    )
    create.add_argument(
        "--repository",
        dest="repositories",
        action="append",
        metavar="PATTERN",
        help="copy only these (may be given again); absent: what the hub's settings say",
    )
    create.add_argument(
        "--platform",
        dest="platforms",
        action="append",
        metavar="OS/ARCHITECTURE",
        help="copy only these of an index (may be given again)",
    )
    create.add_argument(
        "--backfill",
        metavar="all|none|NUMBER",
        type=_backfill,
        help="what it copies of what is there: all, nothing, or the newest tags of each repository",
    )
    create.set_defaults(verb=replicas.create)
    listing = verbs.add_parser("list", help="all of them, their states and lags")
    listing.set_defaults(verb=replicas.show_all)
    show = verbs.add_parser("show", help="one of them")
    show.set_defaults(verb=replicas.show)
    delete = verbs.add_parser("delete", help="drain one, then let its token count for nothing")
    delete.add_argument("--yes", action="store_true", help="don't ask whether it is meant")
    delete.set_defaults(verb=replicas.delete)
    for verb in (show, delete):
        verb.add_argument("id", metavar="ID")
    for verb in (create, listing, show, delete):
        add_hub(verb)
        _add_json(verb)


def _add_logs(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--repository", metavar="NAME")
    verb.add_argument("--tag")
    verb.add_argument("--digest")
    verb.add_argument("--region", metavar="NAME")
    verb.add_argument("--state", choices=STATES)
    what = "a time ago (2h), or a date and time (2026-01-31T08:00:00Z)"
    verb.add_argument("--since", type=_time, metavar="TIME", help=what)
    verb.add_argument("--until", type=_time, metavar="TIME", help=what)
    verb.add_argument("--limit", type=int, default=100, help="entries at first (default 100)")
    verb.add_argument("--follow", action="store_true", help="go on with what changes")
    verb.add_argument(
        "--store", type=Path, metavar="FOLDER", help="the log of the replica here, instead of a hub"
    )
    add_hub(verb)
    _add_json(verb)
    verb.set_defaults(verb=logs.run)


def _add_wait(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "reference",
        metavar="REFERENCE",
        help="[host/]repository[:tag|@digest]; after a push, the digest is what is surely meant",
    )
    where = verb.add_mutually_exclusive_group(required=True)
    where.add_argument("--region", metavar="NAME")
    where.add_argument("--all", action="store_true", help="in every region that has a replica")
    verb.add_argument("--timeout", type=_seconds, default=600.0, help="such as 10m, the default")
    add_hub(verb)
    _add_json(verb)
    verb.set_defaults(verb=wait.run)


def _add_replay(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--after", type=int, metavar="NUMBER", help="all events after this one")
    verb.add_argument("--repository", metavar="NAME", help="only those of one")
    verb.add_argument(
        "--store",
        type=Path,
        metavar="FOLDER",
        help="instead, what the replica here gave up or couldn't understand",
    )
    verb.add_argument("--list", action="store_true", help="with --store: only show it")
    add_hub(verb)
    _add_json(verb)
    verb.set_defaults(verb=replay.run)


def _add_regions(add: AddVerb) -> None:
    verbs = (
        (add("regions", help="the regions: standing, health, lag, load"), regions.show_all),
        (add("drain", help="let a region have no new clients"), regions.drain),
        (add("resume", help="let a drained region have clients again"), regions.resume),
    )
    for verb, run in verbs:
        if run is not regions.show_all:
            verb.add_argument("region", metavar="REGION")
        add_hub(verb)
        _add_json(verb)
        verb.set_defaults(verb=run)


def _add_networks(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    closes = "a region with one network at least serves no clients but those of its networks"
    link = verbs.add_parser("link", help="link one to a region", description=closes)
    link.set_defaults(verb=networks.link)
    unlink = verbs.add_parser("unlink", help="take one away from a region")
    unlink.set_defaults(verb=networks.unlink)
    listing = verbs.add_parser("list", help="those of all regions, or of one")
    listing.set_defaults(verb=networks.show_all)
    for verb in (link, unlink):
        verb.add_argument("network", metavar="CIDR", help="such as 10.9.0.0/16")
    for verb in (link, unlink, listing):
        verb.add_argument("--region", metavar="NAME", required=verb is not listing)
        add_hub(verb)
        _add_json(verb)


def _add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print JSON")


def _seconds(text: str) -> float:
    try:
        return float(parse_duration(text))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text}: expected a duration like 10m") from exc


def _backfill(text: str) -> dict[str, object]:
    if text in ("all", "none"):
        return {"policy": text}
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text}: expected all, none, or a number of tags")
    return {"policy": "newest", "newest": int(text)}


def _time(text: str) -> float:
    try:
        return logs.parse_time(text)
    except (ValueError, OverflowError) as exc:
        expected = "2h, or 2026-01-31T08:00:00Z"
        raise argparse.ArgumentTypeError(f"{text}: expected a time like {expected}") from exc
