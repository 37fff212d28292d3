"""`proxima wait`: until an image is complete in a region, or in all of them."""

import argparse
import json
import sys
import time
from typing import Any
from urllib.parse import urlencode

from proxy.cli.hub_access import open_hub, telling
from proxy.net.hub_client import HubClient, HubRefused
from proxy.oci.errors import RegistryError
from proxy.oci.reference import Repository, split_reference

ONE_REQUEST_SECONDS = 60.0
PAUSE_SECONDS = 1.0

Document = dict[str, Any]


def run(arguments: argparse.Namespace, _runner: object) -> int:
    """0 once it is complete, 1 if the time is over first, 2 if it can't be asked like that."""
    try:
        repository, reference = split_reference(arguments.reference)
    except RegistryError as exc:
        print(f"proxima: {arguments.reference}: {exc.message}", file=sys.stderr)
        return 2
    return telling(lambda: _run(arguments, repository, str(reference)))


def _run(arguments: argparse.Namespace, repository: Repository, reference: str) -> int:
    with open_hub(arguments) as client:
        try:
            arrived = _wait(client, arguments, repository, reference)
        except HubRefused as exc:
            print(f"proxima: {exc}", file=sys.stderr)
            return 1 if exc.code == "NOT_COMPLETE" else 2
    print(json.dumps(arrived) if arguments.json else _as_text(arrived))
    return 0


def _wait(
    client: HubClient, arguments: argparse.Namespace, repository: Repository, reference: str
) -> Document:
    """Ask again and again until it is complete, or the time is over.

    A tag is what it named when the hub was first asked. A hub that restarts meanwhile is waited
    for; one that never answered isn't.

    Raises: HubRefused, OSError.
    """
    deadline = time.monotonic() + arguments.timeout
    has_answered = False
    while True:
        seconds = max(0.0, min(deadline - time.monotonic(), ONE_REQUEST_SECONDS))
        query = {
            "repository": repository,
            "reference": reference,
            "region": arguments.region or "all",
            "timeout": f"{seconds:.3f}",
        }
        try:
            answer: Document = client.ask(
                "GET", f"/v1/wait?{urlencode(query)}", extra_seconds=seconds
            )
        except HubRefused as exc:
            if exc.code not in ("NOT_COMPLETE", "UNAVAILABLE") or _is_over(deadline):
                raise
            reference = exc.detail.get("digest", reference)
            has_answered = True
            if exc.code == "UNAVAILABLE":
                time.sleep(PAUSE_SECONDS)
        except OSError:
            if not has_answered or _is_over(deadline):
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return answer


def _is_over(deadline: float) -> bool:
    return time.monotonic() >= deadline


def _as_text(arrived: Document) -> str:
    regions = ", ".join(each["region"] for each in arrived["regions"])
    return f"{arrived['repository']}@{arrived['digest']} is complete in {regions}"
