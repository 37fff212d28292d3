"""`proxima replica --join`: what a replica needs to know comes from the hub.

Shape: it lies below the file, the environment and the flags, so that an operator may say otherwise.
What the hub said last is kept in the store (0600), and counts while the hub is down. The primary's
URL and the origins that may see credentials are those of the first join: a hub that was taken over
can't lead logins elsewhere. Only `--join-again`, here, takes over others, or goes on where what was
kept can't be read any more. Without a place to keep it nothing is joined.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from config import given_value
from proxy.net.hub_client import HubClient, HubRefused, token_in
from proxy.serving.small_file import write_file

FILE_NAME = "hub.json"
_PINNED = ("url", "trusted_origins")
_OBJECTS = ("primary", "replica", "replication")

Document = Mapping[str, Any]


class NotJoined(Exception):
    """The hub can't be joined and never was, or it isn't known any more whom it named then."""


@dataclass(frozen=True, slots=True)
class Join:
    """Which hub, and how we are known to it."""

    url: str
    token_file: Path
    ca_file: Path | None
    store: Path
    is_again: bool = False


def add_join(verb: argparse.ArgumentParser) -> None:
    """Add the flags."""
    verb.add_argument("--join", metavar="URL", help="hub that says all else that is needed")
    verb.add_argument("--token-file", type=Path, metavar="FILE", help="the join token, for --join")
    verb.add_argument(
        "--hub-ca-file", type=Path, metavar="FILE", help="certificates trusted at the hub, PEM"
    )
    verb.add_argument(
        "--join-again",
        action="store_true",
        help="accept that the hub names another primary than at the first join, or that what it "
        "said then can't be read",
    )


def settings_of_join(
    arguments: argparse.Namespace, overrides: Mapping[str, object]
) -> dict[str, object]:
    """Give the settings that a join makes, by key; none without `--join`.

    Raises: NotJoined.
    """
    if getattr(arguments, "join", None) is None:
        return {}
    join = _join_of(arguments, overrides)
    said = _ask(join)
    return {
        **_settings(said),
        "replication.source": "hub",
        "replication.hub_url": join.url,
        "replication.token_file": join.token_file,
        "replication.ca_file": join.ca_file,
    }


def _join_of(arguments: argparse.Namespace, overrides: Mapping[str, object]) -> Join:
    if arguments.token_file is None:
        raise NotJoined("--join needs --token-file FILE")
    root = given_value(arguments.config, os.environ, overrides, "store.root")
    if root is None:
        raise NotJoined("--join needs --store FOLDER, where it keeps what the hub says")
    store = Path(str(root))
    return Join(
        arguments.join, arguments.token_file, arguments.hub_ca_file, store, arguments.join_again
    )


def _ask(join: Join) -> Document:
    """Give what the hub says, pinned to the first join; what it said last while it is down."""
    path = join.store / FILE_NAME
    kept = _kept(path, join)
    try:
        said = _said(join)
    except (OSError, ValueError, RecursionError, HubRefused) as exc:
        if kept is None:
            raise NotJoined(f"the hub can't be joined: {exc}") from exc
        _warn(f"the hub can't be asked ({exc}): going on with what it said last")
        return kept
    if kept is not None and not join.is_again:
        said = _pinned(said, kept)
    if kept is not None and _settings(said) == _settings(kept):
        return said
    try:
        _keep(path, said)
    except OSError as exc:
        if kept is None:
            raise NotJoined(f"nothing would pin the primary: {path} can't be kept: {exc}") from exc
        _warn(f"what the hub says can't be kept: {exc}; the next start goes by what it said before")
    return said


def _said(join: Join) -> Document:
    with HubClient(join.url, token_in(join.token_file), join.ca_file) as client:
        said = client.ask("GET", "/v1/self")
    try:
        return _checked(said)
    except ValueError as exc:
        raise ValueError(f"its answer can't be used: {exc}") from exc


def _checked(document: object) -> Document:
    """Give a document whose parts can be read, and that names a primary. Raises: ValueError."""
    if not isinstance(document, dict):
        raise ValueError("it is no object")
    parts = {name: document.get(name, {}) for name in _OBJECTS}
    if isinstance(parts["replication"], dict):
        parts["replication.backfill"] = parts["replication"].get("backfill", {})
    for name, part in parts.items():
        if not isinstance(part, dict):
            raise ValueError(f"{name} is no object")
    url = parts["primary"].get("url")
    if not isinstance(url, str) or not url:
        raise ValueError("it names no primary")
    return document


def _pinned(said: Document, kept: Document) -> Document:
    primary, first = said["primary"], kept["primary"]
    if any(primary.get(name) != first.get(name) for name in _PINNED):
        _warn(
            f"the hub names another primary, {primary.get('url')}: staying with {first.get('url')};"
            " --join-again takes over the other one"
        )
    return {**said, "primary": {**primary, **{name: first.get(name) for name in _PINNED}}}


def _settings(said: Document) -> dict[str, object]:
    """Give the settings that the hub's words make."""
    primary, replication = said["primary"], said.get("replication", {})
    backfill = replication.get("backfill", {})
    settings: dict[str, object] = {
        "region": said.get("replica", {}).get("region"),
        "primary.url": primary.get("url"),
        "primary.trusted_origins": primary.get("trusted_origins"),
        "tags.verify_every": _seconds(said.get("verify_every_seconds")),
        "replication.repositories": replication.get("repositories"),
        "replication.excluded": said.get("excluded"),
        "replication.tags": replication.get("tags"),
        "replication.platforms": replication.get("platforms"),
        "replication.bandwidth": replication.get("bandwidth_bytes"),
        "replication.concurrent": replication.get("concurrent"),
        "replication.backfill": backfill.get("policy"),
        "replication.backfill_newest": backfill.get("newest"),
    }
    domain = primary.get("domain")
    if domain and domain != urlsplit(str(primary.get("url"))).netloc:
        settings["listen.names"] = [domain]
    return {key: value for key, value in settings.items() if value is not None}


def _seconds(value: object) -> str | None:
    return f"{value}s" if isinstance(value, int | float) else None


# --- what the hub said last -----------------------------------------------------------------------


def _kept(path: Path, join: Join) -> Document | None:
    """Give what was kept; None before the first join.

    Raises: NotJoined: it can't be read, so that whom the hub named at first isn't known.
    """
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as exc:
        if join.is_again:
            return None
        raise NotJoined(
            f"{path} can't be read ({exc}), and it pins the primary to the first join;"
            " --join-again takes over the one that the hub names now"
        ) from exc


def _keep(path: Path, said: Document) -> None:
    """Replace the file as a whole, to stay over a power cut.

    Raises: OSError: what was there before is still there, or it may be again after a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, json.dumps(said, indent=1).encode(), 0o600)


def _warn(message: str) -> None:
    print(f"proxima: warning: {message}", file=sys.stderr)
