"""The regions that are told what is pushed: the hub beside the primary, and their replicas.

Each region's replica has an address in the region's network, beside the one on 127.0.0.1 that the
other parts of the demo use.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from loadtest.address import free_port, parse_address
from loadtest.demo.scene import LINK, Primary, replica_behind
from loadtest.link import LinkSettings
from loadtest.place import Place, write_catalogue
from loadtest.programs import Hub, Join, LinkProgram, Replica, new_secret
from loadtest.programs.settings import Section, Sections

PRIMARY_REGION = "na-ashburn"
SHARED_NAME = "registry.demo.test"
NEWS_TAG = "4.0"
NEAREST_TAG = "4.1"
PROBE_SECONDS = 1
TTL_SECONDS = 1
_COPIED_TAGS = "4.*"


PLACES = (
    Place("na-toronto", 1, 0.040),
    Place("eu-frankfurt", 2, 0.090),
    Place("sa-saopaulo", 3, 0.120),
)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where every region answers the shared name, and where it tells of its health."""

    registry: int
    ops: int

    @classmethod
    def free(cls) -> Self:
        """Give two that are free at the addresses of all regions."""
        hosts = [place.address for place in PLACES]
        registry = ops = free_port(hosts)
        while ops == registry:
            ops = free_port(hosts)
        return cls(registry, ops)


@dataclass(frozen=True, slots=True)
class ToldRegion:
    """A region whose replica follows the hub, over a link as long as that to the primary."""

    place: Place
    link: LinkProgram
    replica: Replica
    hub_link: LinkProgram

    @property
    def name(self) -> str:
        """The region's name."""
        return self.place.name


class Fleet:
    """The hub, and the regions that have joined so far."""

    def __init__(
        self, folder: Path, primary: Primary, hub: Hub, ports: Ports, stack: ExitStack
    ) -> None:
        self.folder = folder
        self.primary = primary
        self.hub = hub
        self.regions: list[ToldRegion] = []
        self.ports = ports
        self._stack = stack

    def token_file(self, place: Place) -> Path:
        """Give where the join token of a region's replica is."""
        return self.folder / f"{place.name}.token"

    def join(self, place: Place) -> Join:
        """Start the replica of a region, whose token is in its file; give what it joined.

        Raises: ProgramFailed
        """
        folder = self.folder / place.name
        hub_address = parse_address(self.hub.address)
        hub_link = LinkProgram(hub_address, _link(place), folder, "hub-link")
        self._stack.enter_context(hub_link)
        join = Join(f"http://{hub_link.address}", self.token_file(place))
        # It copies before anybody asks, so it needs an identity of its own.
        settings: Sections = {
            "primary": _identity(self.folder, self.primary),
            "listen": {
                "registry": ["127.0.0.1:0", f"{place.address}:{self.ports.registry}"],
                "ops": f"{place.address}:{self.ports.ops}",
                "names": [SHARED_NAME, "127.0.0.1"],
            },
        }
        behind = replica_behind(self._stack, folder, self.primary, _link(place), join, settings)
        self.regions.append(ToldRegion(place, behind.link, behind.replica, hub_link))
        return join


@contextmanager
def running_fleet(folder: Path, primary: Primary) -> Iterator[Fleet]:
    """Run the hub with its files in *folder*, and let the primary notify it if we started that.

    The primary is started anew then, with its notifications.

    Raises: ProgramFailed
    """
    folder.mkdir()
    ports = Ports.free()
    with ExitStack() as stack:
        settings = _hub_settings(folder, primary) | {"geo": _geo_settings(folder, ports)}
        hub = Hub(folder / "hub", primary=primary.url, settings=settings)
        if primary.registry is not None:
            primary.registry.end()
            primary.registry.notify(hub.notifications, hub.sender)
            primary.registry.start()
        stack.enter_context(hub)
        if primary.registry is not None:
            hub.wait_until_proven()
        yield Fleet(folder, primary, hub, ports, stack)


def _hub_settings(folder: Path, primary: Primary) -> dict[str, Section]:
    settings: dict[str, Section] = {
        "primary": {
            "id": "demo",
            "region": PRIMARY_REGION,
            "domain": SHARED_NAME,
            "trusted_origins": list(primary.trusted_origins),
        },
        # What the first part pushed isn't copied.
        "replication": {"backfill": "none", "tags": [_COPIED_TAGS]},
    }
    if primary.registry is not None:
        repository = f"{primary.repository}-sentinel"
        pushes = {"repository": repository, "every": "1s", "limit": "10s"}
        settings["sentinel"] = {**pushes, **_identity(folder, primary)}
    return settings


def _geo_settings(folder: Path, ports: Ports) -> Section:
    """Give the settings about where clients go, and write the catalogue of the regions."""
    path, token = catalogue_file(folder), geo_token_file(folder)
    write_catalogue(path, PLACES, f"http://ADDRESS:{ports.ops}/readyz")
    new_secret(token)
    return {
        "catalogue": str(path),
        "token_file": str(token),
        "port": ports.registry,
        "tls": False,
        "ttl": f"{TTL_SECONDS}s",
        "probe_every": f"{PROBE_SECONDS}s",
    }


def catalogue_file(folder: Path) -> Path:
    """Give where the fleet's catalogue of regions is."""
    return folder / "regions.toml"


def geo_token_file(folder: Path) -> Path:
    """Give where the token of those is who may ask the fleet's hub where clients go."""
    return folder / "dns-token"


def _identity(folder: Path, primary: Primary) -> Section:
    """Give the settings of a user: who pulls and pushes here stands in for it."""
    if primary.login is None:
        return {}
    path = folder / "password"
    path.touch(mode=0o600)
    path.write_text(f"{primary.login.password}\n")
    return {"username": primary.login.username, "password_file": str(path)}


def _link(place: Place) -> LinkSettings:
    return replace(LINK, round_trip_seconds=place.round_trip_seconds)
