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
    if arguments.after is None and arguments.repository is None:
        print("proxima: say which events: --after NUMBER, --repository NAME", file=sys.stderr)
        return 2

    def work(client: HubClient) -> int:
        wanted = {"after": arguments.after or 0}
        if arguments.repository is not None:
            wanted["repository"] = arguments.repository
        replayed = client.ask("POST", "/v1/replay", wanted)
        if arguments.json:
            print(json.dumps(replayed))
        else:
            more = "" if replayed["is_whole"] else ", the oldest; there are more"
            print(f"{replayed['replayed']} events{more}")
        return 0

    return with_hub(arguments, work)


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
