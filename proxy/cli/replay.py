"""`proxima replay`: events of the hub's log once more; or what a replica gave up."""

import argparse
import http.client
import json
import sys
from pathlib import Path
from typing import Any

from proxy.cli.explain import ask
from proxy.cli.hub_access import telling, with_hub
from proxy.net.hub_client import HubClient, HubRefused
from proxy.registry.layout import Layout


def run(arguments: argparse.Namespace, _runner: object) -> int:
    """Put events at the end of the log once more; say how many that were."""
    if arguments.store is not None:
        return _of_store(arguments)
    named = {name: getattr(arguments, name) for name in ("after", "repository", "region")}
    wanted = {name: value for name, value in named.items() if value is not None}
    if not wanted:
        ways = "--after NUMBER, --repository NAME, --region NAME"
        print(f"proxima: say which events: {ways}", file=sys.stderr)
        return 2
    if arguments.upto is not None:
        wanted["upto"] = arguments.upto
    return with_hub(arguments, lambda client: _of_hub(client, wanted, is_json=arguments.json))


def _of_hub(client: HubClient, wanted: dict[str, object], *, is_json: bool) -> int:
    """Ask for one portion after the other, until that was all."""
    total = 0
    while True:
        portion = client.ask("POST", "/v1/replay", wanted)
        total += portion["replayed"]
        if portion["next"] is None:
            break
        wanted = {**wanted, "after": portion["next"], "upto": portion["upto"]}
        print(
            f"proxima: {total} events so far; the next: --after {wanted['after']}"
            f" --upto {wanted['upto']}",
            file=sys.stderr,
        )
    print(json.dumps({**portion, "replayed": total}) if is_json else f"{total} events")
    return 0


def _of_store(arguments: argparse.Namespace) -> int:
    """Let a replica try again what it gave up and what it didn't understand; or list that."""
    path = Layout(arguments.store).control_socket
    try:
        return telling(lambda: _list(path) if arguments.list else _retry(path))
    except http.client.HTTPException as exc:
        print(f"proxima: {path}: {exc}", file=sys.stderr)
        return 2


def _list(path: Path) -> int:
    found = {**_asked(path, "/dead"), **_asked(path, "/parked")}
    print(json.dumps(found, indent=2))
    return 0


def _retry(path: Path) -> int:
    letters = _asked(path, "/parked")["parked"]
    left = [_asked(path, f"/parked/{each['id']}", "POST") for each in letters]
    jobs = _asked(path, "/dead", "POST")["replayed"]
    parked = sum(each["parked"] for each in left)
    print(f"{jobs} jobs, {len(letters)} notifications, of which {parked} still aren't understood")
    return 0


def _asked(path: Path, target: str, method: str = "GET") -> dict[str, Any]:
    status, document = ask(path, target, method)
    if status != 200:
        raise HubRefused(status, "REPLICA", str(document.get("error", "")))
    return document
