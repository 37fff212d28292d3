"""Where a verb has the regions from: the hub, or a catalogue file alone."""

import argparse
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
from proxy.net.hub_place import TOKEN_FILE, URL, add_hub_flags, hub_place, require_secrecy
from proxy.net.origins import Origin
from proxy.oci.errors import RegistryError

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
    add_hub_flags(verb, "DNS servers or operators")
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
    place = hub_place(arguments)
    if not place.url or place.token_file is None:
        raise NoSource(
            f"say which hub: --hub URL and --token-file FILE, or {URL} and {TOKEN_FILE}; "
            "or give --catalogue FILE"
        )
    address = HubAddress(place.url, place.token_file, place.ca_file)
    try:
        origin = Origin.of(place.url)
        require_secrecy(place.url, origin.scheme, origin.host)
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
