"""How the verbs of operators reach a hub: from flags, else from the environment."""

import argparse
import sys
from collections.abc import Callable

from proxy.net.hub_client import HubClient, HubRefused, token_in
from proxy.net.hub_place import TOKEN_FILE, URL, add_hub_flags, hub_place


class NoHub(Exception):
    """It isn't said which hub, or how to speak to it."""


def add_hub(verb: argparse.ArgumentParser) -> None:
    """Add the flags that say which hub."""
    add_hub_flags(verb, "operators")


def hub_url(arguments: argparse.Namespace) -> str:
    """Give the URL of the hub. Raises: NoHub."""
    url = hub_place(arguments).url
    if not url:
        raise NoHub(f"say which hub: --hub URL, or {URL}")
    return url


def open_hub(arguments: argparse.Namespace) -> HubClient:
    """Give a client of the hub. Raises: NoHub."""
    url, place = hub_url(arguments), hub_place(arguments)
    if place.token_file is None:
        raise NoHub(f"say where the token is: --token-file FILE, or {TOKEN_FILE}")
    try:
        return HubClient(url, token_in(place.token_file), place.ca_file)
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
