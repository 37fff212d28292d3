"""A primary that tells a hub of its pushes, and regions that follow the hub over links."""

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path

from loadtest.address import parse_address
from loadtest.bench.arrivals import Arrivals
from loadtest.bench.client import Client, Pushed, push_layers
from loadtest.bench.curl import download_in_turn
from loadtest.bench.lab import LINK
from loadtest.bench.lossy import LossyWay
from loadtest.link import LinkSettings
from loadtest.programs import Hub, LinkProgram, ProgramFailed, Replica, StockRegistry, joining
from loadtest.programs.settings import Sections, laid_over

REPOSITORY = "bench/app"
ASIDE = "aside/app"
"""A repository that no region copies."""

BLOB_EVENTS = "application/octet-stream"
"""The media type in the events of blobs: a stock registry that ignores it tells of images alone."""

_FIRST_NUMBER = 9_001
_ASK_SECONDS = 30.0
_WARM_UP_SECONDS = 30.0
_WARM_UP_SEED = 99


@dataclass(frozen=True, slots=True)
class Region:
    """A replica, and what it says of its copies."""

    replica: Replica
    arrivals: Arrivals


@dataclass(frozen=True, slots=True)
class World:
    """Everything that runs. All regions reach the primary over one *link*, the hub over another."""

    primary: StockRegistry
    hub: Hub
    link: LinkProgram
    regions: tuple[Region, ...]
    way: LossyWay | None

    def publisher(self, repository: str = REPOSITORY) -> Client:
        """Give a client that is as near to the primary as can be."""
        return Client(self.primary.url, repository)

    def wait_for(self, pushed: Pushed, seconds: float) -> list[float]:
        """Give when *pushed* was complete, in each region.

        Raises: ProgramFailed: it isn't within *seconds*.
        """
        wanted = [(pushed.reference, pushed.digest)]
        return [region.arrivals.wait_for(wanted, seconds)[0].at for region in self.regions]

    def warm_up(self) -> None:
        """Let each region copy an image, so that its connections are open.

        Raises: ProgramFailed
        """
        publisher = self.publisher()
        layers = push_layers(publisher, 40_000, 4, random.Random(_WARM_UP_SEED))
        self.wait_for(publisher.push_index("warm", layers), _WARM_UP_SECONDS)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start.

    ignored_types: media types of which the primary tells nothing.
    loses_one_in:  the way to the hub can lose that many notifications, once it is told to; 0: none.
    """

    link: LinkSettings = LINK
    regions: int = 1
    ignored_types: tuple[str, ...] = ()
    hub: Sections = field(default_factory=dict)
    replica: Sections = field(default_factory=dict)
    loses_one_in: int = 0


@contextmanager
def running(plan: Plan, room: Path) -> Iterator[World]:
    """Start what *plan* says, for the length of the block."""
    with ExitStack() as stack:
        primary = StockRegistry(room / "primary", name="primary", logs_requests=True)
        names = region_names(plan.regions)
        own: Sections = {
            "primary": {"id": "bench"},
            "replicas": {"regions": names},
            "sentinel": {"repository": "proxima/sentinel", "every": "1s", "limit": "60s"},
        }
        settings = laid_over(own, plan.hub)
        hub = stack.enter_context(Hub(room / "hub", primary=primary.url, settings=settings))
        way = None
        if plan.loses_one_in:
            way = stack.enter_context(LossyWay(room, hub.address, plan.loses_one_in))
        told = f"http://{way.address}/notifications" if way else hub.notifications
        primary.notify(told, hub.sender, plan.ignored_types)
        stack.enter_context(primary)
        link = stack.enter_context(LinkProgram(parse_address(primary.address), plan.link, room))
        far = replace(plan.link, rate_bytes_per_second=None)
        hub_link = stack.enter_context(
            LinkProgram(parse_address(hub.address), far, room, name="hub-link")
        )
        regions = []
        for name in names:
            folder = room / name.partition("=")[0]
            follows = joining(f"http://{hub_link.address}", _token_file(hub, folder))
            copied = {"replication": {"repositories": [f"{REPOSITORY.partition('/')[0]}/**"]}}
            replica = Replica(
                folder,
                primary=primary.url,
                connect_to=link.address,
                settings=laid_over(laid_over(follows, copied), plan.replica),
                name=folder.name,
            )
            stack.enter_context(replica)
            regions.append(Region(replica, Arrivals(replica.log)))
        for region in regions:
            region.replica.wait_for_event("subscription.connected")
        yield World(primary, hub, link, tuple(regions), way)


def region_names(count: int) -> list[str]:
    """Give so many regions of our own, as the hub's settings name them."""
    return [f"bench-{number}={_FIRST_NUMBER + number}" for number in range(count)]


def join_token(hub: Hub, region: str) -> str:
    """Make the replica instance of a region and give its token: faster than the verb.

    Raises: ProgramFailed
    """
    headers = {
        "Authorization": f"Bearer {hub.token_file.read_text().strip()}",
        "Content-Type": "application/json",
    }
    connection = HTTPConnection(*parse_address(hub.address), timeout=_ASK_SECONDS)
    try:
        connection.request("POST", "/v1/replicas", json.dumps({"region": region}), headers)
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status != 201:
        raise ProgramFailed(f"no replica for {region}: {answer.status} {said[:200]!r}")
    token: str = json.loads(said)["token"]
    return token


def _token_file(hub: Hub, folder: Path) -> Path:
    folder.mkdir(parents=True)
    file = folder / "token"
    file.touch(mode=0o600)
    file.write_text(join_token(hub, folder.name))
    return file


def transfer_seconds(world: World, size_bytes: int, seed: int) -> float:
    """Give how long *size_bytes* take to cross the link in one GET, from first byte to last.

    Raises: ProgramFailed
    """
    publisher, source = world.publisher(ASIDE), random.Random(seed)
    there = Client(f"http://{world.link.address}", ASIDE)
    blobs = [publisher.push_blob(source.randbytes(size)) for size in (1, size_bytes)]
    transfer = download_in_turn([there.url(f"blobs/{blob['digest']}") for blob in blobs])
    return transfer.seconds - transfer.first_byte_seconds
