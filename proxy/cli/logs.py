"""`proxima logs`: the replication log, of all regions at the hub, or a replica's own."""

import argparse
import http.client
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from config import parse_duration
from proxy.cli.columns import as_duration, as_row, as_size
from proxy.cli.explain import ask
from proxy.cli.hub_access import open_hub, telling
from proxy.net.hub_client import HubRefused
from proxy.registry.layout import Layout

POLL_SECONDS = 1.0
FILTERS = ("repository", "tag", "digest", "region", "state", "since", "until")
WIDTHS = (20, 14, 11, 10, 10, 8, 40)

Document = dict[str, Any]
Page = Callable[[dict[str, Any]], Document]


def run(arguments: argparse.Namespace, _runner: object) -> int:
    """Print entries, the oldest first; with --follow also what changes, until it is stopped."""
    return telling(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    if arguments.store is not None:
        _print(arguments, lambda query: _page_of_store(arguments.store, query))
        return 0
    with open_hub(arguments) as client:
        _print(arguments, lambda query: client.ask("GET", f"/v1/logs?{urlencode(query)}"))
    return 0


def _page_of_store(store: Path, query: dict[str, Any]) -> Document:
    """Give a page of the log that the running replica keeps of itself."""
    path = Layout(store).control_socket
    try:
        status, document = ask(path, f"/logs?{urlencode(query)}")
    except http.client.HTTPException as exc:
        raise OSError(f"{path}: {exc}") from exc
    if status != 200:
        raise HubRefused(status, "REPLICA", str(document.get("error", "")))
    return document


def _print(arguments: argparse.Namespace, page: Page) -> None:
    pairs = ((name, getattr(arguments, name)) for name in FILTERS)
    query = {name: value for name, value in pairs if value is not None}
    first = page({**query, "limit": arguments.limit})
    show = _show_json if arguments.json else _show_line
    for entry in reversed(first["entries"]):
        show(entry)
    revision = first["revision"]
    while arguments.follow:
        following = page({**query, "follow": revision})
        revision = following["next"]
        for entry in following["entries"]:
            show(entry)
        if not following["entries"]:
            time.sleep(POLL_SECONDS)


def _show_json(entry: Document) -> None:
    print(json.dumps(entry), flush=True)


def _show_line(entry: Document) -> None:
    print(as_line(entry), flush=True)


def as_line(entry: Document) -> str:
    """Give an entry to read."""
    name = entry["repository"]
    if entry["tag"]:
        name += f":{entry['tag']}"
    elif entry["digest"]:
        name += f"@{entry['digest'][:19]}"
    cells = (
        _time(entry["ended_at"] or entry["started_at"] or entry["event_at"]),
        entry["region"],
        entry["state"],
        entry["what"],
        entry["trigger"],
        as_duration(_taken(entry)),
        name,
    )
    moved = f"  {as_size(entry['bytes_moved'])}" if entry["bytes_moved"] else ""
    saved = f" (saved {as_size(entry['bytes_saved'])})" if entry["bytes_saved"] else ""
    error = f"  {entry['error']}" if entry["error"] else ""
    return f"{as_row(cells, WIDTHS)}{moved}{saved}{error}"


def _taken(entry: Document) -> float | None:
    began, ended = entry["event_at"] or entry["started_at"], entry["ended_at"]
    return None if began is None or ended is None else max(0.0, float(ended - began))


def _time(instant: float | None) -> str:
    if instant is None:
        return "-"
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> float:
    """Give seconds since 1970 of a time ago ("2h"), a date and time, or such a number.

    Raises: ValueError.
    """
    try:
        return time.time() - float(parse_duration(text))
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        pass
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
