"""`proxima explain --from`: asks the hub where a client goes, and what it finds there."""

import argparse
import json
from typing import Any
from urllib.parse import urlencode

from proxy.cli.columns import NOTHING, as_duration, as_table
from proxy.cli.hub_access import with_hub
from proxy.net.hub_client import HubClient

Document = dict[str, Any]
HEAD = ("REGION", "DISTANCE", "STANDING", "IMAGE", "LAG", "")


def run(arguments: argparse.Namespace) -> int:
    """Print it."""

    def work(client: HubClient) -> int:
        query = urlencode({"reference": arguments.reference, "from": arguments.client})
        told = client.ask("GET", f"/v1/explain?{query}")
        print(json.dumps(told, indent=2) if arguments.json else as_text(told))
        return 0

    return with_hub(arguments, work)


def as_text(told: Document) -> str:
    """Give an explanation to read."""
    answer = told["answer"]
    lines = [
        f"{told['repository']} {told['reference']} for {told['client']}",
        f"  names      {told['digest'] or 'nobody knows what'}",
        f"  located    by {told['by']}{_where(told)}",
        f"  goes to    {answer['region']}: {told['reason']}",
        f"  DNS says   {answer['name']} {answer['ttl_seconds']:g}s {' '.join(answer['addresses'])}",
    ]
    return "\n".join([*lines, "", as_table(HEAD, [_cells(each) for each in told["regions"]])])


def _where(told: Document) -> str:
    found = told["network"] or told["place"]
    return f": {found}" if found else ""


def _cells(region: Document) -> tuple[str, ...]:
    distance = region["distance_km"]
    return (
        region["region"],
        NOTHING if distance is None else f"{distance:,.0f} km",
        region["standing"],
        _image(region),
        as_duration(region["lag_seconds"]),
        "" if region["may_enter"] else "closed to it",
    )


def _image(region: Document) -> str:
    if region["is_primary"]:
        return "primary"
    return "complete" if region["is_complete"] else region["entry"] or "unknown"
