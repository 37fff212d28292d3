"""Which clients a region is open to: all or, once any network is listed, those networks' alone.

Networks are listed by the replica's own settings and by its hub; a client of either may come in.
Who it is has been said by `forwarding`. The decision counts from the next request on: what is
being answered goes on. An address is decided about once, as long as the lists stay as they are.
"""

from collections.abc import Callable
from functools import lru_cache

from proxy.oci.errors import OutsideNetworks
from proxy.telemetry.labels import ClientRefusal
from proxy.telemetry.logs import EventLog
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.seldom import Seldom
from proxy.web.forwarding import Network, address_of
from proxy.web.networks import Networks

LOG_EVERY_SECONDS = 1.0
REMEMBERED_CLIENTS = 8192

Listed = tuple[Network, ...]


class RegionAccess:
    """Lets clients in, or refuses them. *clock*: seconds that only grow."""

    def __init__(
        self, own: Listed, log: EventLog, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        self._own = own
        self._told: Listed | None = ()
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._refusals = Seldom(LOG_EVERY_SECONDS)
        self._includes = self._lookup()

    def list_own(self, networks: Listed) -> None:
        """List the networks of the replica's own settings."""
        self._own = networks
        self._includes = self._lookup()

    def list_told(self, networks: Listed | None) -> None:
        """List those of the hub; None: they aren't known any more, so that nobody's count."""
        self._told = networks
        self._includes = self._lookup()

    def check(self, client: str) -> None:
        """Return if a client may come in, by the address that it comes from.

        Raises: OutsideNetworks: it may not; counted, and now and then logged.
        """
        if self._includes is not None and not self._includes(client):
            raise self._refused(client)

    def _lookup(self) -> Callable[[str], bool] | None:
        """Give what decides about an address; None: the region is open."""
        if self._told is not None and not self._own and not self._told:
            return None
        networks = Networks.of((*self._own, *(self._told or ())))

        def includes(client: str) -> bool:
            address = address_of(client.partition("%")[0])  # link-local peers come with a zone
            return address is not None and address in networks

        return lru_cache(REMEMBERED_CLIENTS)(includes)

    def _refused(self, client: str) -> OutsideNetworks:
        reason = ClientRefusal.OUTSIDE if self._told is not None else ClientRefusal.UNKNOWN
        self._metrics.client_refused(reason)
        if requests := self._refusals.note(self._clock()):
            self._log.warning("client.refused", client=client, reason=reason, requests=requests)
        return OutsideNetworks(client=client)
