"""The third part: one name, and each client lands in its nearest region that can serve it."""

from collections.abc import Iterator
from contextlib import contextmanager

from loadtest.demo.client import Client
from loadtest.demo.fleet import (
    NEAREST_TAG,
    PLACES,
    PROBE_SECONDS,
    SHARED_NAME,
    TTL_SECONDS,
    Fleet,
    catalogue_file,
    geo_token_file,
)
from loadtest.demo.shell import Shell
from loadtest.demo.waiting import wait_until
from loadtest.image import make_image
from loadtest.nomad import Nomad, Refused, SharedName
from loadtest.place import Place
from loadtest.programs import DnsProgram, PowerDns, Zone
from loadtest.units import show_bytes, show_seconds

_MOVES_SECONDS = 3 * PROBE_SECONDS + TTL_SECONDS
_OUTSIDE = "127.9.0.50"
_GUEST, _GUESTS = "127.8.0.50", "127.8.0.0/16"


@contextmanager
def running_name(fleet: Fleet) -> Iterator[SharedName]:
    """Run PowerDNS and the process beside it, which follows the fleet's hub.

    Raises: ProgramFailed
    """
    folder = fleet.folder / "dns"
    zone = Zone(SHARED_NAME, geo_token_file(fleet.folder))
    with DnsProgram(folder, fleet.hub, zone) as dns, PowerDns.beside(dns, folder) as server:
        yield SharedName(SHARED_NAME, fleet.ports.registry, server.listens)


class Nearest:
    """What clients see, told as it happens; `broken` has the promises that weren't kept."""

    def __init__(self, fleet: Fleet, name: SharedName) -> None:
        self._fleet = fleet
        self._name = name
        self._shell = Shell(fleet.hub.operator)
        self._regions = {place.address: place for place in PLACES}
        self.broken: list[str] = []

    def run(self) -> None:
        """Do all of it.

        Raises: ProgramFailed
        """
        self._push()
        self._show_catalogue()
        wait_until(self._are_all_up, "each region is up")
        self._shell.run("regions")
        for place in PLACES:
            self._lands(self._client_of(place), place, f"in {place.network}")
        self._lands(self._nomad(_OUTSIDE), PLACES[0], "in no network, so the default")
        self._lose(PLACES[2])
        self._drain(PLACES[1])
        self._close(PLACES[0])

    # --- where clients land -----------------------------------------------------------------------

    def _push(self) -> None:
        """Push a small image, which every region copies."""
        folder = self._fleet.folder
        image = make_image(folder / "image5", 5, (2_000_000, 1_000_000), NEAREST_TAG)
        primary = self._fleet.primary
        client = Client(folder / "client-nearest", primary.place, primary.repository, primary.login)
        client.push(image)
        self._shell.run("wait", f"{self._repository}@{image.digest}", "--all", "--timeout", "60s")

    def _show_catalogue(self) -> None:
        path = catalogue_file(self._fleet.folder)
        print(f"  $ cat {path}")
        for line in path.read_text().splitlines():
            print(f"    {line}".rstrip())
        print(flush=True)

    def _lands(self, client: Nomad, expected: Place, why: str) -> None:
        """See that DNS leads *client* to a region, and that it can pull there."""
        at = client.dig()
        found = self._regions.get(at)
        size = self._pull(client, at)
        where = found.name if found else at or "nowhere"
        print(f"  $ {self._typed(client)}\n    {at}", flush=True)
        pulled = show_bytes(size) if isinstance(size, int) else f"refused: {size.code}"
        self._tell(
            f"client {client.address}, {why}: {where}; pulls {self._name.host}/"
            f"{self._repository}:{NEAREST_TAG} there, {pulled}",
            is_kept=found == expected and isinstance(size, int),
        )

    def _lose(self, lost: Place) -> None:
        """End a region's replica, see its clients move, start it again, see them come back."""
        client, others = self._client_of(lost), [self._client_of(place) for place in PLACES[:2]]
        self._shell.run("explain", self._reference, "--from", client.address)
        replica = next(each for each in self._fleet.regions if each.place == lost).replica
        replica.kill()
        print(f"The replica of {lost.name} was killed.\n", flush=True)
        seconds = wait_until(lambda: self._is_served_elsewhere(client, lost), "it is served again")
        where = self._regions[client.dig()].name
        self._tell(
            f"its clients pull in {where} after {show_seconds(seconds)}",
            is_kept=seconds <= _MOVES_SECONDS,
        )
        stayed = all(self._regions[each.dig()] in PLACES[:2] for each in others)
        self._tell("the other regions' clients stay where they are", is_kept=stayed)
        self._shell.run("regions")
        replica.start()
        seconds = wait_until(lambda: client.dig() == lost.address, "its clients are back")
        self._tell(
            f"started again: its clients are back after {show_seconds(seconds)}", is_kept=True
        )

    def _drain(self, place: Place) -> None:
        client = self._client_of(place)
        self._shell.run("drain", place.name)
        wait_until(lambda: client.dig() != place.address, "drained")
        where, size = self._regions[client.dig()].name, self._pull(client, place.address)
        self._tell(
            f"a client of {place.name} goes to {where}; one that is still there is served",
            is_kept=isinstance(size, int),
        )
        self._shell.run("resume", place.name)
        wait_until(lambda: client.dig() == place.address, "resumed")

    # --- who may come -----------------------------------------------------------------------------

    def _close(self, place: Place) -> None:
        """Let a region serve its networks alone, then one network less."""
        own, guest, stranger = self._client_of(place), self._nomad(_GUEST), self._nomad(_OUTSIDE)
        for network in (place.network, _GUESTS):
            self._shell.run("networks", "link", network, "--region", place.name)
        wait_until(lambda: guest.dig() == place.address, "the guest is led here")
        wait_until(lambda: self._is_refused(stranger, place), "a stranger is refused")
        served = all(isinstance(self._pull(each, place.address), int) for each in (own, guest))
        where = self._regions[stranger.dig()].name
        self._tell(
            f"{place.name} is closed: its networks pull, {stranger.address} is refused there"
            f" and led to {where}",
            is_kept=served and where != place.name,
        )
        self._shell.run("networks", "unlink", _GUESTS, "--region", place.name)
        wait_until(lambda: self._is_refused(guest, place), "the guest is refused")
        wait_until(lambda: guest.dig() != place.address, "the guest is led elsewhere")
        where = self._regions[guest.dig()].name
        self._tell(
            f"{guest.address} is refused there (403 DENIED), and led to {where}", is_kept=True
        )
        self._shell.run("networks", "list")

    def _is_refused(self, client: Nomad, place: Place) -> bool:
        return self._pull(client, place.address) == Refused(403, "DENIED")

    # --- small things -----------------------------------------------------------------------------

    def _nomad(self, address: str) -> Nomad:
        return Nomad(address, self._name, self._fleet.primary.login)

    def _client_of(self, place: Place) -> Nomad:
        return self._nomad(place.client())

    @property
    def _repository(self) -> str:
        return self._fleet.primary.repository

    @property
    def _reference(self) -> str:
        return f"{self._repository}:{NEAREST_TAG}"

    def _pull(self, client: Nomad, at: str) -> int | Refused:
        return client.pull(self._repository, NEAREST_TAG, at)

    def _is_served_elsewhere(self, client: Nomad, lost: Place) -> bool:
        at = client.dig()
        return at != lost.address and client.is_served(self._repository, NEAREST_TAG, at)

    def _are_all_up(self) -> bool:
        regions = self._fleet.hub.ask("/v1/regions")["regions"]
        return all(region["standing"] == "up" for region in regions)

    def _typed(self, client: Nomad) -> str:
        host, port = self._name.nameserver
        return f"dig @{host} -p {port} -b {client.address} +short {self._name.domain}"

    def _tell(self, text: str, *, is_kept: bool) -> None:
        print(f"    {'kept' if is_kept else 'BROKEN'}: {text}\n", flush=True)
        if not is_kept:
            self.broken.append(text)
