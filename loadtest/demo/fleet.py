"""Two regions that are told what is pushed: the hub beside the primary, and their replicas."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from loadtest.address import parse_address
from loadtest.demo.scene import LINK, Primary, replica_behind
from loadtest.link import LinkSettings
from loadtest.programs import Hub, Join, LinkProgram, Replica
from loadtest.programs.settings import Section

PRIMARY_REGION = "na-ashburn"
NEWS_TAG = "4.0"
_COPIED_TAGS = "4.*"


@dataclass(frozen=True, slots=True)
class Place:
    """A region, and how far it is from the primary."""

    name: str
    round_trip_seconds: float


PLACES = (Place("na-toronto", 0.040), Place("sa-saopaulo", 0.120))


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

    def __init__(self, folder: Path, primary: Primary, hub: Hub, stack: ExitStack) -> None:
        self.folder = folder
        self.primary = primary
        self.hub = hub
        self.regions: list[ToldRegion] = []
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
        reads_as = {"primary": _identity(self.folder, self.primary)}
        behind = replica_behind(self._stack, folder, self.primary, _link(place), join, reads_as)
        self.regions.append(ToldRegion(place, behind.link, behind.replica, hub_link))
        return join


@contextmanager
def running_fleet(folder: Path, primary: Primary) -> Iterator[Fleet]:
    """Run the hub with its files in *folder*, and let the primary notify it if we started that.

    The primary is started anew then, with its notifications.

    Raises: ProgramFailed
    """
    folder.mkdir()
    with ExitStack() as stack:
        hub = Hub(folder / "hub", primary=primary.url, settings=_hub_settings(folder, primary))
        if primary.registry is not None:
            primary.registry.end()
            primary.registry.notify(hub.notifications, hub.sender)
            primary.registry.start()
        stack.enter_context(hub)
        if primary.registry is not None:
            hub.wait_until_proven()
        yield Fleet(folder, primary, hub, stack)


def _hub_settings(folder: Path, primary: Primary) -> dict[str, Section]:
    settings: dict[str, Section] = {
        "primary": {
            "id": "demo",
            "region": PRIMARY_REGION,
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
