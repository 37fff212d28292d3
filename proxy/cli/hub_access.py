"""How the verbs of operators reach a hub: from flags, else from the environment."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from proxy.net.hub_client import HubClient, HubRefused, token_in

URL, TOKEN_FILE, CA_FILE = "PROXIMA_HUB_URL", "PROXIMA_HUB_TOKEN_FILE", "PROXIMA_HUB_CA_FILE"


class NoHub(Exception):
    """It isn't said which hub, or how to speak to it."""


def add_hub(verb: argparse.ArgumentParser) -> None:
    """Add the flags that say which hub."""
    verb.add_argument("--hub", metavar="URL", help=f"URL of the hub (else {URL})")
    verb.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"file with a token of operators (else {TOKEN_FILE})",
    )
    verb.add_argument(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help=f"certificates that are trusted at the hub, PEM (else {CA_FILE}, the system's)",
    )


def hub_url(arguments: argparse.Namespace) -> str:
    """Give the URL of the hub. Raises: NoHub."""
    url: str | None = arguments.hub or os.environ.get(URL)
    if not url:
        raise NoHub(f"say which hub: --hub URL, or {URL}")
    return url


def open_hub(arguments: argparse.Namespace) -> HubClient:
    """Give a client of the hub. Raises: NoHub."""
    url = hub_url(arguments)
    token_file = arguments.token_file or _path_in(TOKEN_FILE)
    if token_file is None:
        raise NoHub(f"say where the token is: --token-file FILE, or {TOKEN_FILE}")
    try:
        return HubClient(url, token_in(token_file), arguments.ca_file or _path_in(CA_FILE))
    except (OSError, ValueError) as exc:
        raise NoHub(str(exc)) from exc


def with_hub(arguments: argparse.Namespace, work: Callable[[HubClient], int]) -> int:
    """Do some work with the hub; 1 if it refuses, 2 if it can't be reached."""
    return telling(lambda: _with_hub(arguments, work))


def _with_hub(arguments: argparse.Namespace, work: Callable[[HubClient], int]) -> int:
    with open_hub(arguments) as client:
        return work(client)


def telling(work: Callable[[], int]) -> int:
    """Do some work; what stands in its way is one line."""
    try:
        return work()
    except HubRefused as exc:
        print(f"proxima: {exc}", file=sys.stderr)
        return 1
    except NoHub as exc:
        print(f"proxima: {exc}", file=sys.stderr)
        return 2
    except OSError as exc:
        print(f"proxima: the hub can't be reached: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _path_in(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None
