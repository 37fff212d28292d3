"""`proxima regions`, `drain` and `resume`: the regions that a hub knows."""

import argparse
import json
import sys
from typing import Any
from urllib.parse import quote

from proxy.cli.columns import NOTHING, as_duration, as_size, as_table
from proxy.cli.hub_access import with_hub
from proxy.net.hub_client import HubClient

Document = dict[str, Any]
HEAD = ("REGION", "STANDING", "HEALTH", "REPLICA", "LAG", "CLIENTS", "SENDS", "ADDRESSES")


def show_all(arguments: argparse.Namespace, _runner: object) -> int:
    """Print all of them; 1 if the catalogue in use isn't the one in its file."""

    def work(client: HubClient) -> int:
        found = client.ask("GET", "/v1/regions")
        if arguments.json:
            print(json.dumps(found, indent=2))
        else:
            print(as_table(HEAD, [_cells(each) for each in found["regions"]]))
            _print_why(found["regions"])
        for line in found["note"].splitlines():
            print(f"proxima: not in use: {line}", file=sys.stderr)
        return 1 if found["note"] else 0

    return with_hub(arguments, work)


def drain(arguments: argparse.Namespace, _runner: object) -> int:
    """Let a region have no new clients."""
    return _order(arguments, "drain")


def resume(arguments: argparse.Namespace, _runner: object) -> int:
    """Let a region have clients again."""
    return _order(arguments, "resume")


def _order(arguments: argparse.Namespace, verb: str) -> int:
    def work(client: HubClient) -> int:
        name = quote(arguments.region, safe="")
        region = client.ask("POST", f"/v1/regions/{name}/{verb}")
        if arguments.json:
            print(json.dumps(region, indent=2))
        else:
            print(f"{region['name']}  {region['standing']}")
        return 0

    return with_hub(arguments, work)


def _cells(region: Document) -> tuple[str, ...]:
    load = region["load"]
    return (
        region["name"],
        region["standing"],
        _health(region["health"]),
        region["state"] or NOTHING,
        as_duration(region["lag_seconds"]),
        str(load["connections"]) if load else NOTHING,
        f"{as_size(load['bytes_per_second'])}/s" if load else NOTHING,
        ", ".join(region["addresses"]),
    )


def _health(health: Document) -> str:
    if health["excused"]:
        return "excused"
    return "up" if health["is_up"] else "down"


def _print_why(regions: list[Document]) -> None:
    """Say what is wrong where a check failed."""
    for region in regions:
        for check in region["health"]["checks"]:
            if not check["ok"]:
                print(f"  {region['name']}: {check['what']} {check['address']}: {check['error']}")
