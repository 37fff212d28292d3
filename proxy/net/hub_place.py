"""Which hub a verb speaks to: flags, else the environment; and whether a token may go there."""

import argparse
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

URL, TOKEN_FILE, CA_FILE = "PROXIMA_HUB_URL", "PROXIMA_HUB_TOKEN_FILE", "PROXIMA_HUB_CA_FILE"


@dataclass(frozen=True, slots=True)
class HubPlace:
    """What was said; None or empty: nothing was."""

    url: str
    token_file: Path | None
    ca_file: Path | None


def add_hub_flags(verb: argparse.ArgumentParser, whose: str) -> None:
    """Add the flags that say which hub. whose: the token that is shown there."""
    verb.add_argument("--hub", metavar="URL", help=f"URL of the hub (else {URL})")
    verb.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"file with a token of {whose} (else {TOKEN_FILE})",
    )
    verb.add_argument(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help=f"certificates that are trusted at the hub, PEM (else {CA_FILE}, the system's)",
    )


def hub_place(arguments: argparse.Namespace) -> HubPlace:
    """Give what flags or the environment say."""
    return HubPlace(
        arguments.hub or os.environ.get(URL) or "",
        arguments.token_file or _path_in(TOKEN_FILE),
        arguments.ca_file or _path_in(CA_FILE),
    )


def require_secrecy(url: str, scheme: str, host: str) -> None:
    """Return if a token may go to a host. Raises: ValueError: others could read it on the way."""
    if scheme == "http" and not _is_here(host):
        raise ValueError(f"{url}: expected https, since others could read the token on the way")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _path_in(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None
