"""The regions for an address, nearest first.

Where a client is: the longest network that it lies in, then the database, then nobody knows. Its
own region: whose network that is, else the nearest that lets it in, else the default. A client
stays in its own region while that is up. Else one of the next of its order takes it: those that
its own region names, then the nearest (`geo.spread`). No region that would refuse it is the answer
unless all would.
"""

from collections.abc import Callable, Iterable

from geo.catalogue import Address, Catalogue, Region
from geo.distance import Coordinates, distance_km
from geo.place import Place
from geo.plan import Plan
from geo.ranking import By, Ranked, Ranking
from geo.situation import Situation, Standing
from geo.spread import client_key
from geo.territory import Spot, Territory

PlaceOf = Callable[[Address], Place | None]
MAX_PLANS = 4096
MAX_RANKS = 262_144
"""Orders that are kept: a database has many more places than most networks ask from.
Each has one rank for each region, which are bounded too (25 MiB)."""
DEFAULT_SPREAD = 3


class Nearness:
    """The decision for one catalogue in one situation; another one is made when either changes."""

    def __init__(
        self,
        catalogue: Catalogue,
        situation: Situation,
        place_of: PlaceOf,
        spread: int = DEFAULT_SPREAD,
        before: "Nearness | None" = None,
    ) -> None:
        """before: the decision until now, whose territory serves again where no network changed:
        making one takes tenths of a second.
        """
        self.catalogue = catalogue
        self._situation = situation
        known = before.territory_of(catalogue, situation) if before else None
        self._territory = known or Territory(catalogue, situation.linked)
        self._place_of = place_of
        self._spread = spread
        self._max_plans = max(1, min(MAX_PLANS, MAX_RANKS // len(catalogue.regions)))
        self._plans: dict[tuple[int, Coordinates | None], Plan] = {}

    def rank(self, client: Address | None) -> Ranking:
        """Give all regions for a client; None: nobody knows its address."""
        if client is None:
            return self._ranking(None, By.DEFAULT, self._territory.nowhere, None)
        if client.version == 6 and (mapped := client.ipv4_mapped) is not None:
            client = mapped
        spot = self._territory.find(client)
        if len(spot.owners) == 1:
            return self._ranking(client, By.NETWORK, spot, None)
        place = self._place_of(client)
        if spot.owners:
            return self._ranking(client, By.NETWORK, spot, place)
        return self._ranking(client, By.DATABASE if place else By.DEFAULT, spot, place)

    def territory_of(self, catalogue: Catalogue, situation: Situation) -> Territory | None:
        """Give the territory of a catalogue in a situation, where it is the one that is known."""
        is_same = situation.linked == self._situation.linked and catalogue == self.catalogue
        return self._territory if is_same else None

    def rank_from(self, region: Region) -> Ranking:
        """Give all regions for the clients of one region, whatever their addresses."""
        spot = self._territory.of_region(region)
        return self._ranking(None, By.NETWORK, spot, None)

    def _ranking(self, client: Address | None, by: By, spot: Spot, place: Place | None) -> Ranking:
        where = place.coordinates if place else None
        key = (spot.key, where)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= self._max_plans:
                self._plans.clear()
            plan = self._plans[key] = self._plan(by, spot, where)
        choice = plan.choose(b"" if plan.is_settled else client_key(client))
        reason = choice.reason or spot.why
        return Ranking(client, by, spot.network, place, choice.regions, reason)

    # --- the order of one place or network --------------------------------------------------------

    def _plan(self, by: By, spot: Spot, where: Coordinates | None) -> Plan:
        entered = spot.entered or self._territory.everywhere
        owners = _nearest_first(spot.owners, where) if where else list(spot.owners)
        own = [each for each in owners if each.name in entered]
        start = (owners[0].coordinates if owners else where) or self._default.coordinates
        by_distance = _nearest_first(self.catalogue.regions, start)
        if by is By.DEFAULT:
            by_distance.sort(key=lambda each: each is not self._default)
        if not own:
            own = [next(each for each in by_distance if each.name in entered)]
        order = _ordered(own, by_distance)
        ranked = [
            Ranked(
                each,
                None if by is By.DEFAULT else distance_km(start, each.coordinates),
                self._standing(each),
                each.name in spot.entered,
            )
            for each in order
        ]
        return Plan(ranked, len(own), self._spread, _why(by, spot, own[0]))

    def _standing(self, region: Region) -> Standing:
        otherwise = Standing.DRAINED if region.is_drained else Standing.UP
        return self._situation.standings.get(region.name, otherwise)

    @property
    def _default(self) -> Region:
        found = self.catalogue.region(self.catalogue.default)
        return found or self.catalogue.regions[0]


def _nearest_first(regions: Iterable[Region], where: Coordinates) -> list[Region]:
    return sorted(regions, key=lambda each: (distance_km(where, each.coordinates), each.name))


def _ordered(own: list[Region], by_distance: list[Region]) -> list[Region]:
    """Give the client's own regions, those that the first of them names, and the rest."""
    names = [each.name for each in own] + list(own[0].fallback)
    places = {name: index for index, name in reversed(list(enumerate(names)))}
    return sorted(by_distance, key=lambda each: places.get(each.name, len(names)))


def _why(by: By, spot: Spot, own: Region) -> str:
    if by is By.DEFAULT:
        return "nobody knows where it is: the default"
    if by is By.DATABASE:
        return "nearest"
    if own in spot.owners:
        return ""  # the spot has its words
    return f"{spot.owners[0].name} is closed to it: nearest that is open"
