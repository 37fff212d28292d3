"""`proxima networks`: the networks that are linked to regions."""

import argparse
import json
import sys
from typing import Any
from urllib.parse import quote

from proxy.cli.columns import as_table
from proxy.cli.hub_access import with_hub
from proxy.net.hub_client import HubClient

Document = dict[str, Any]
HEAD = ("REGION", "NETWORK")
OPEN = "{region} has no networks left: from now on it serves everybody"


def show_all(arguments: argparse.Namespace, _runner: object) -> int:
    """Print those of all regions, or of one."""

    def work(client: HubClient) -> int:
        query = f"?region={quote(arguments.region, safe='')}" if arguments.region else ""
        networks = client.ask("GET", f"/v1/networks{query}")["networks"]
        if arguments.json:
            print(json.dumps(networks, indent=2))
        else:
            rows = [(each["region"], each["network"]) for each in networks]
            print(as_table(HEAD, rows) if rows else "none")
        return 0

    return with_hub(arguments, work)


def link(arguments: argparse.Namespace, _runner: object) -> int:
    """Link one to a region."""

    def work(client: HubClient) -> int:
        wish = {"region": arguments.region, "network": arguments.network}
        linked = client.ask("POST", "/v1/networks", wish)
        print(json.dumps(linked) if arguments.json else f"{linked['region']}  {linked['network']}")
        return 0

    return with_hub(arguments, work)


def unlink(arguments: argparse.Namespace, _runner: object) -> int:
    """Take one away from a region."""

    def work(client: HubClient) -> int:
        region, network = (quote(each, safe="") for each in (arguments.region, arguments.network))
        client.ask("DELETE", f"/v1/networks/{region}/{network}")
        is_open = not client.ask("GET", f"/v1/networks?region={region}")["networks"]
        gone = {
            "region": arguments.region,
            "network": arguments.network,
            "linked": False,
            "region_is_open": is_open,
        }
        told = f"{arguments.region}  {arguments.network}  unlinked"
        print(json.dumps(gone) if arguments.json else told)
        if is_open:
            print(OPEN.format(region=arguments.region), file=sys.stderr)
        return 0

    return with_hub(arguments, work)
