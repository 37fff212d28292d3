"""`proxima hub parked`: notifications that weren't understood, at the running hub."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from hub.cli.settings import client_of, load_settings
from proxy.net.hub_client import HubClient, HubRefused, token_in

PAGE = 100


def show(arguments: argparse.Namespace, _runner: object) -> int:
    """Print them, the oldest first."""
    return _with_client(arguments, lambda client: _show(client, is_json=arguments.json))


def replay(arguments: argparse.Namespace, _runner: object) -> int:
    """Try some once more; 1 if one of them still isn't understood."""
    return _with_client(arguments, lambda client: _replay(client, arguments.ids))


def remove(arguments: argparse.Namespace, _runner: object) -> int:
    """Forget some."""

    def work(client: HubClient) -> int:
        for number in arguments.ids:
            client.ask("DELETE", f"/v1/parked/{number}")
        return 0

    return _with_client(arguments, work)


def _with_client(arguments: argparse.Namespace, work: Callable[[HubClient], int]) -> int:
    try:
        client = _client(arguments)
        if client is None:
            return 2
        with client:
            return work(client)
    except (HubRefused, OSError, ValueError) as exc:
        print(f"proxima: {exc}", file=sys.stderr)
        return 1


def _client(arguments: argparse.Namespace) -> HubClient | None:
    """Give a client of the hub that flags name, else of the one whose settings are here."""
    if arguments.hub is not None:
        if arguments.token_file is None:
            raise ValueError("--hub needs --token-file")
        return HubClient(arguments.hub, token_in(arguments.token_file), arguments.ca_file)
    settings = load_settings(arguments)
    return None if settings is None else client_of(settings, arguments.ca_file)


def _show(client: HubClient, *, is_json: bool) -> int:
    after: int | None = 0
    while after is not None:
        page = client.ask("GET", f"/v1/parked?after={after}&limit={PAGE}")
        for letter in page["parked"]:
            print(json.dumps(letter) if is_json else _line(letter))
        after = page["next"]
    return 0


def _line(letter: dict[str, Any]) -> str:
    sender = letter["sender"] or letter["content_type"] or "unknown"
    return f"{letter['id']}  {sender}  {letter['size_bytes']} B  {letter['reason']}"


def _replay(client: HubClient, numbers: list[int]) -> int:
    status = 0
    for number in numbers:
        outcome = client.ask("POST", f"/v1/parked/{number}/replay")
        if outcome["parked"]:
            status = 1
            print(f"{number}  still not understood: {outcome['reason']}")
        else:
            print(f"{number}  {outcome['logged']} logged, {outcome['repeated']} known")
    return status
