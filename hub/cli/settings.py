"""The hub's settings for a verb: file, environment and flags together, problems all at once."""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from config import ConfigError, HubSettings, check_hub, given_flags, hub_secrets, load_hub
from geo.problems import CatalogueInvalid
from hub.geo.catalogue_file import read_file
from proxy.net.hub_client import HubClient


def read_settings(arguments: argparse.Namespace) -> HubSettings:
    """Give the settings. Raises: ConfigError: with all problems."""
    flags = given_flags(arguments, HubSettings)
    return load_hub(arguments.config, os.environ, flags)


def load_settings(arguments: argparse.Namespace) -> HubSettings | None:
    """Give the settings; None after printing what is wrong with them."""
    try:
        return read_settings(arguments)
    except ConfigError as exc:
        for problem in exc.problems:
            print(f"proxima: {problem}", file=sys.stderr)
        return None


def check(arguments: argparse.Namespace, _runner: object) -> int:
    """Say what is wrong; 0 if nothing is."""
    settings = load_settings(arguments)
    if settings is None:
        return 2
    problems = [*map(str, check_hub(settings)), *_problems_of_catalogue(settings)]
    for problem in problems:
        print(f"proxima: {problem}", file=sys.stderr)
    if not problems:
        print("The settings are good.")
    return 2 if problems else 0


def _problems_of_catalogue(settings: HubSettings) -> Iterator[str]:
    path = settings.geo.catalogue
    if path is None:
        return
    try:
        read_file(path)
    except CatalogueInvalid as exc:
        yield from (f"{path}: {each}" for each in exc.problems)
    except (OSError, ValueError) as exc:
        yield f"{path}: {exc}"


def client_of(settings: HubSettings, ca_file: Path | None) -> HubClient:
    """Give a client of the hub that runs here with these settings. Raises: ConfigError."""
    address = settings.listen.api[0]
    host = f"127.0.0.1:{address.port}" if address.ip.is_unspecified else f"{address}"
    scheme = "https" if settings.tls.certificate else "http"
    token = hub_secrets(settings).operators[0].reveal()
    return HubClient(f"{scheme}://{host}", token, ca_file)
