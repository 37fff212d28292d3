"""The private link: how this replica reaches the primary, address by address.

Addresses come from the settings (`connect_to`), else from DNS. Each has a breaker and its weather.
A request goes to the first address that is not known to be sick or slow; a read that got no answer
goes on to the next.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from proxy.net.breakers import Breaker, BreakerState
from proxy.net.origins import Origin
from proxy.net.session import Answer, NotConnected, Outgoing, Session
from proxy.net.upload import BodyNotAsked, UploadBody
from proxy.net.weather import LinkWeather
from proxy.oci.errors import Unavailable

Address = tuple[str, int]
Lookup = Callable[[str], Awaitable[tuple[list[str], int]]]

READS = frozenset({"GET", "HEAD"})
GATEWAY_FAILURES = frozenset({502, 503, 504, 508})
LOOKUP_RETRY_SECONDS = 5.0
MAX_ADDRESSES = 16
MAX_REMEMBERED_ADDRESSES = 64

came_through: ContextVar[str] = ContextVar("came_through", default="")
"""The Via entries of the request that a task works for. Tasks that it starts inherit them, so that
a flight names whom it was started for, and a loop over several replicas is told by any of them.
"""


@dataclass(slots=True)
class _Resolved:
    addresses: list[Address]
    until: float


class PrivateLink:
    """Requests to the primary over whichever of its addresses works.

    *via* is our entry of the Via header, by which loops are told.
    """

    def __init__(
        self,
        session: Session,
        origin: Origin,
        *,
        connect_to: tuple[Address, ...],
        lookup: Lookup,
        via: str,
        clock: Callable[[], float],
    ) -> None:
        self.origin = origin
        self._session = session
        self._connect_to = connect_to
        self._lookup = lookup
        self._via = via
        self._clock = clock
        self.weather = LinkWeather(clock)
        self._breakers: dict[Address, Breaker] = {}
        self._resolved: _Resolved | None = None
        self._answered: Address | None = None

    async def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        *,
        body: UploadBody | bytes | None = None,
    ) -> Answer:
        """Send a request to the primary; give the answer once its headers are here.

        A body is sent once the primary asked for it (`Expect: 100-continue`), see `UploadBody`.

        Raises: Unavailable: no address answered; every breaker open counts as that, at once.
        """
        outgoing = Outgoing(
            method,
            target,
            {**headers, "Via": self._own_via()},
            body,
            is_continue_expected=isinstance(body, UploadBody),
        )
        failure = Unavailable("the primary registry is not answering", retry_after_seconds=10)
        answer: Answer | None = None
        for address in self.weather.best_first(await self.addresses()):
            if not self._breaker(address).may_try():
                continue
            if answer is not None:
                await answer.drop()
                answer = None
            try:
                answer = await self._ask(outgoing, address)
            except Unavailable as exc:
                if method not in READS and not isinstance(exc, NotConnected):
                    raise
                failure = exc
                continue
            if method not in READS or answer.status not in GATEWAY_FAILURES:
                return answer
        if answer is None:
            raise failure
        return answer

    def _own_via(self) -> str:
        before = came_through.get()
        return f"{before}, {self._via}" if before else self._via

    async def _ask(self, outgoing: Outgoing, address: Address) -> Answer:
        breaker = self._breaker(address)
        asked_at = self._clock()
        try:
            answer = await self._session.send(self.origin, outgoing, address=address)
        except BodyNotAsked:  # nothing is known: a registry may simply be slow to check a login
            raise
        except Unavailable:
            breaker.failed()
            raise
        breaker.succeeded()
        if outgoing.method in READS:
            self.weather.at(address).note_round_trip(self._clock() - asked_at)
        self._answered = address
        return answer

    def note_break(self) -> None:
        """Note that a transfer broke: the address that answered last is the last to be tried now.

        Transfers that break together move it once: what comes after it has broken nothing yet.
        """
        broken, self._answered = self._answered, None
        if broken in self._connect_to:
            self._connect_to = tuple(_with_last(self._connect_to, broken))
        elif self._resolved is not None and broken in self._resolved.addresses:
            self._resolved.addresses = _with_last(self._resolved.addresses, broken)

    async def addresses(self) -> tuple[Address, ...]:
        """Give the primary's addresses in the order in which they are tried.

        Raises: Unavailable: the name can't be resolved.
        """
        if self._connect_to:
            return self._connect_to
        if _is_literal(self.origin.host):
            return ((self.origin.host, self.origin.port),)
        if self._resolved is None or self._resolved.until <= self._clock():
            await self._resolve()
        return tuple(self._resolved.addresses) if self._resolved else ()

    async def _resolve(self) -> None:
        """Look the name up again. The last answer stays in use meanwhile, and in a DNS outage."""
        if self._resolved is not None:
            self._resolved.until = self._clock() + LOOKUP_RETRY_SECONDS
        try:
            found, ttl_seconds = await self._lookup(self.origin.host)
        except OSError as exc:
            if self._resolved is None:
                raise Unavailable("the primary's name can't be resolved") from exc
            return
        if found:
            addresses = [(address, self.origin.port) for address in found[:MAX_ADDRESSES]]
            self._resolved = _Resolved(addresses, self._clock() + ttl_seconds)

    def _breaker(self, address: Address) -> Breaker:
        breaker = self._breakers.get(address)
        if breaker is None:
            if len(self._breakers) >= MAX_REMEMBERED_ADDRESSES:
                del self._breakers[next(iter(self._breakers))]
            breaker = self._breakers[address] = Breaker(self._clock)
        return breaker

    def breaker_states(self) -> dict[str, BreakerState]:
        """Give each known address with the state of its breaker."""
        return {f"{host}:{port}": found.state for (host, port), found in self._breakers.items()}


def _with_last(addresses: Iterable[Address], last: Address | None) -> list[Address]:
    return sorted(addresses, key=lambda address: address == last)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
