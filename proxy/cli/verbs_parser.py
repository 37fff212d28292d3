"""The command lines of the verbs on a store."""

import argparse
import os
from collections.abc import Callable

from config import parse_duration
from proxy.cli import verbs
from proxy.registry.orders import GRACE_SECONDS

AddVerb = Callable[..., argparse.ArgumentParser]
AddSettings = Callable[[argparse.ArgumentParser], None]

REFERENCE = "[host/]repository[:tag|@digest]"


def add_verbs(add: AddVerb, add_settings: AddSettings) -> None:
    """Add them all."""
    for name, what, add_own in (
        ("verify", "hash every content, read every link, say what is wrong", _add_verify),
        ("gc", "remove bytes that no repository links", _add_gc),
        ("purge", "forget a repository, a tag or a digest here", _add_purge),
        ("prefetch", "bring images before anybody pulls them", _add_prefetch),
        ("adopt", "take over the contents of another tree, a copied disk for instance", _add_adopt),
        ("export", "write the complete images as a tree for a stock registry", _add_export),
    ):
        verb = add(name, help=what, description=what)
        add_own(verb)
        add_settings(verb)
        verb.add_argument("--json", action="store_true", help="print a line of JSON for each event")
        verb.set_defaults(verb=verbs.run, name=name)


def _add_verify(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--repair",
        action="store_true",
        help="set wrong bytes aside, remove links that don't hold and leftovers",
    )


def _add_gc(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    verb.add_argument(
        "--grace",
        type=_seconds,
        default=GRACE_SECONDS,
        help="how old bytes without a link must be (default 1h)",
    )


def _add_purge(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "references",
        nargs="+",
        metavar="REFERENCE",
        help=f"{REFERENCE}: a tag, a digest with the tags that name it, or the whole repository",
    )


def _add_prefetch(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("references", nargs="+", metavar="REFERENCE", help=REFERENCE)
    verb.add_argument(
        "--platform",
        dest="platforms",
        action="append",
        default=[],
        metavar="OS/ARCHITECTURE",
        help="bring only these of an index, and what is for none (may be given again)",
    )


def _add_adopt(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "references",
        nargs=1,
        type=os.path.abspath,
        metavar="TREE",
        help="the folder that has docker/registry/v2; links count once the primary confirmed them",
    )


def _add_export(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--complete",
        dest="folder",
        required=True,
        metavar="FOLDER",
        help="where every image goes of which one platform at least is here whole",
    )


def _seconds(text: str) -> float:
    return float(parse_duration(text))
