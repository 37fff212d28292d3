"""Where a verb has the regions from: the hub, or a catalogue file alone."""

import argparse
import ipaddress
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from geo.problems import CatalogueInvalid
from geo.reading import read_catalogue
from geo.situation import Situation, Standing
from hub.dns.kept import MAX_BYTES
from hub.dns.state import GeoState, StateInvalid, read_state
from proxy import __version__
from proxy.net.hub import ANSWER_SECONDS, HubAddress, HubClient, HubLimits
from proxy.net.origins import Origin
from proxy.oci.errors import RegistryError

URL, TOKEN_FILE, CA_FILE = "PROXIMA_HUB_URL", "PROXIMA_HUB_TOKEN_FILE", "PROXIMA_HUB_CA_FILE"
TTL_SECONDS = 10
SPREAD = 3
REVISION_OF_FILES = "file"


def following_limits(answer_seconds: float) -> HubLimits:
    """Give the limits for answers that may be long in coming, and as large as a file of them."""
    return HubLimits(answer=answer_seconds, silence=answer_seconds, answer_bytes=MAX_BYTES)


class NoSource(Exception):
    """The regions can't be had; the text says why, a line for each problem."""


def add_source(verb: argparse.ArgumentParser) -> None:
    """Add the flags that say where the regions are from."""
    verb.add_argument("--hub", metavar="URL", help=f"URL of the hub (else {URL})")
    verb.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"file with a token of DNS servers or operators (else {TOKEN_FILE})",
    )
    verb.add_argument(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help=f"certificates that are trusted at the hub, PEM (else {CA_FILE}, the system's)",
    )
    verb.add_argument(
        "--catalogue",
        type=Path,
        metavar="FILE",
        help="instead of a hub, a catalogue alone: all its regions count as up",
    )


async def state_of(arguments: argparse.Namespace, domain: str) -> GeoState:
    """Give the state as it is now. *domain* is the name that a file's regions share.

    Raises: NoSource.
    """
    if arguments.catalogue is not None:
        return _state_in(arguments.catalogue, domain)
    async with open_hub(arguments, following_limits(ANSWER_SECONDS)) as hub:
        try:
            return read_state(await hub.get("/v1/geo"))
        except RegistryError as exc:
            raise NoSource(exc.message) from exc
        except StateInvalid as exc:
            raise NoSource(f"the hub's state can't be used: {exc}") from exc


@asynccontextmanager
async def open_hub(arguments: argparse.Namespace, limits: HubLimits) -> AsyncIterator[HubClient]:
    """Give a client of the hub that the flags or the environment name. Raises: NoSource."""
    url = arguments.hub or os.environ.get(URL)
    token_file = arguments.token_file or _path_in(TOKEN_FILE)
    if not url or token_file is None:
        raise NoSource(
            f"say which hub: --hub URL and --token-file FILE, or {URL} and {TOKEN_FILE}; "
            "or give --catalogue FILE"
        )
    address = HubAddress(url, token_file, arguments.ca_file or _path_in(CA_FILE))
    try:
        _check_url(url)
        hub = HubClient(address, f"proxima-dns/{__version__}", limits)
    except (OSError, ValueError) as exc:
        raise NoSource(str(exc)) from exc
    try:
        yield hub
    finally:
        await hub.close()


def _state_in(path: Path, domain: str) -> GeoState:
    try:
        catalogue = read_catalogue(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise NoSource(f"{path}: {exc}") from exc
    except CatalogueInvalid as exc:
        raise NoSource("\n".join(f"{path}: {each}" for each in exc.problems)) from exc
    drained = {each.name: Standing.DRAINED for each in catalogue.regions if each.is_drained}
    return GeoState(
        REVISION_OF_FILES, domain, TTL_SECONDS, SPREAD, catalogue, Situation(drained, {})
    )


def _check_url(url: str) -> None:
    """Raises: ValueError: the token would cross the network as text."""
    origin = Origin.of(url)
    if origin.scheme == "http" and not _is_here(origin.host):
        raise ValueError(f"{url}: expected https, since others could read the token on the way")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _path_in(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None
