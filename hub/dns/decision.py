"""Where a client goes, in the state in use: what the DNS server is answered."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from geo.catalogue import Address
from geo.location import Locations
from geo.nearness import Nearness
from geo.powerdns import PowerDnsRequestInvalid, respond
from geo.ranking import Ranking
from geo.records import Zone
from hub.dns.backend import CallInvalid, Undecided
from hub.dns.state import GeoState
from hub.dns.viewpoint import nearness_of
from proxy.telemetry.logs import EventLog

TTL_WITHOUT_STATE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class ZoneFacts:
    """What is said of the zone here, and not by the hub."""

    domain: str
    nameservers: tuple[str, ...]
    hostmaster: str | None = None

    def zone(self, ttl_seconds: int, serial: int) -> Zone:
        """Give the zone."""
        hostmaster = self.hostmaster or f"hostmaster.{self.domain}"
        return Zone(self.domain, ttl_seconds, self.nameservers, hostmaster, serial)


class Decision:
    """Answers calls. Until there is a state it knows its zone, and no client's region."""

    def __init__(
        self,
        facts: ZoneFacts,
        locations: Locations,
        log: EventLog,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._facts = facts
        self._locations = locations
        self._log = log
        self._now = now
        self._nearness: Nearness | None = None
        self._zone = facts.zone(TTL_WITHOUT_STATE_SECONDS, int(now()))

    async def take(self, state: GeoState) -> None:
        """Decide by another state from now on."""
        place_of, before = self._locations.place_of, self._nearness
        nearness = await asyncio.to_thread(nearness_of, state, place_of, before)
        self._zone = self._facts.zone(state.ttl_seconds, int(self._now()))
        self._nearness = nearness
        if state.domain != self._facts.domain:
            self._log.warning("geo.other_domain", hub=state.domain, zone=self._facts.domain)

    def answer(self, call: bytes) -> object:
        """Give the document that answers a call. Raises: CallInvalid, Undecided."""
        try:
            return respond(call, self._zone, self._rank)
        except PowerDnsRequestInvalid as exc:
            raise CallInvalid(str(exc)) from exc

    def _rank(self, client: Address | None) -> Ranking:
        if self._nearness is None:
            raise Undecided("no state of the regions yet")
        return self._nearness.rank(client)
