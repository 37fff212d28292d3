"""A region is killed: how soon its clients' new pulls succeed elsewhere."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from loadtest.bench.geography import (
    DOMAIN,
    PLACES,
    PROBE_SECONDS,
    REPOSITORY,
    TAG,
    TTL_SECONDS,
    Geography,
    resolve,
    running,
)
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, at_most
from loadtest.image import MANIFEST_ACCEPT
from loadtest.place import Place
from loadtest.programs import ProgramFailed
from loadtest.units import show_seconds

_CLIENTS = 24
_PAUSE_SECONDS = 0.05
_TIMEOUT_SECONDS = 3.0
_PATIENCE_SECONDS = 30.0
_LIMIT_SECONDS = 3 * PROBE_SECONDS + TTL_SECONDS
_AFTER_SECONDS = 3.0
_IN_A_ROW = 100


class Failover:
    """Twenty-four clients pull one after the other; each keeps its DNS answer for its TTL."""

    name = "failover"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the time from the kill until 99% of new pulls succeed."""
        ratios, details = [], ""
        with running(lab.room(self.name)) as geography:
            for _ in range(min(lab.rounds, 3)):
                seconds, details = self._kill(geography)
                ratios.append(seconds / _LIMIT_SECONDS)
        yield Measurement(
            "region killed: until 99% of new pulls succeed, of 3 probes + TTL",
            max(ratios),
            at_most(1.0),
            f"the worst of {len(ratios)}, of {show_seconds(_LIMIT_SECONDS)}; {details}",
        )

    def _kill(self, geography: Geography) -> tuple[float, str]:
        lost, replica = PLACES[0], geography.replicas[0]
        _wait_until_served(geography, lost)
        clients = [Client(geography, lost.client(number)) for number in range(1, _CLIENTS + 1)]
        with ThreadPoolExecutor(_CLIENTS) as pool:
            ends_at = time.monotonic() + 1.0 + _LIMIT_SECONDS + _AFTER_SECONDS
            working = [pool.submit(client.pull_until, ends_at) for client in clients]
            time.sleep(1.0)
            killed_at = time.monotonic()
            replica.kill()
            for work in working:
                work.result()
        replica.start()
        pulls = sorted(pull for client in clients for pull in client.pulls)
        before = [pull for pull in pulls if pull.began_at < killed_at - _TIMEOUT_SECONDS]
        if any(not pull.is_served for pull in before):
            raise ProgramFailed("a pull failed before the region was killed")
        served_at = [pull.place for pull in pulls if pull.began_at > killed_at and pull.is_served]
        spread = ", ".join(f"{served_at.count(place.address)} {place.name}" for place in PLACES)
        return _until_served(pulls, killed_at), f"pulls after the kill: {spread}"


@dataclass(frozen=True, slots=True, order=True)
class Pull:
    """One pull: when it began, and whether and where it was served."""

    began_at: float
    is_served: bool
    place: str


@dataclass(slots=True)
class Client:
    """A client with an address of its own, which remembers where the registry is for the TTL."""

    geography: Geography
    address: str
    pulls: list[Pull] = field(default_factory=list)
    _place: str = ""
    _known_until: float = 0.0

    def pull_until(self, ends_at: float) -> None:
        """Pull again and again."""
        while time.monotonic() < ends_at:
            began_at = time.monotonic()
            is_served = self._pull()
            self.pulls.append(Pull(began_at, is_served, self._place))
            time.sleep(_PAUSE_SECONDS)

    def _pull(self) -> bool:
        try:
            self._look()
            connection = HTTPConnection(
                self._place, self.geography.port, _TIMEOUT_SECONDS, (self.address, 0)
            )
            try:
                return _is_there(connection, self.geography)
            finally:
                connection.close()
        except (OSError, HTTPException, LookupError):
            return False

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._known_until:
            self._place = resolve(self.geography.server.listens, self.address)
            self._known_until = now + TTL_SECONDS


def _is_there(connection: HTTPConnection, geography: Geography) -> bool:
    headers = {"Host": f"{DOMAIN}:{geography.port}", "Accept": MANIFEST_ACCEPT}
    connection.request("GET", f"/v2/{REPOSITORY}/manifests/{TAG}", headers=headers)
    answer = connection.getresponse()
    answer.read()
    return (
        answer.status == 200 and answer.getheader("Docker-Content-Digest") == geography.image.digest
    )


def _until_served(pulls: list[Pull], killed_at: float) -> float:
    """Give the time after the kill from which on, of any hundred pulls in a row, 99 succeed.

    Raises: ProgramFailed: none failed at all, so nothing was measured; or it never comes.
    """
    after = [pull for pull in pulls if pull.began_at >= killed_at]
    if all(pull.is_served for pull in after):
        raise ProgramFailed("no pull failed though the region was killed")
    windows = range(len(after) - _IN_A_ROW + 1)
    bad = [start for start in windows if _failures(after[start : start + _IN_A_ROW]) > 1]
    first = bad[-1] + 1 if bad else 0
    if first not in windows:
        raise ProgramFailed("fewer than 99% of pulls succeed at the end")
    return after[first].began_at - killed_at


def _failures(pulls: list[Pull]) -> int:
    return sum(not pull.is_served for pull in pulls)


def _wait_until_served(geography: Geography, place: Place) -> None:
    """Return once clients of a region are served there, and every region is up."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _is_home(geography, place):
        if time.monotonic() > deadline:
            raise ProgramFailed(f"clients of {place.name} aren't led there")
        time.sleep(_PAUSE_SECONDS)


def _is_home(geography: Geography, place: Place) -> bool:
    regions = geography.hub.ask("/v1/regions")["regions"]
    if any(region["standing"] != "up" for region in regions):
        return False
    try:
        return resolve(geography.server.listens, place.client(1)) == place.address
    except (OSError, LookupError):
        return False
