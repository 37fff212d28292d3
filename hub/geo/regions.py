"""The regions as they stand: catalogue, health and what operators say, put together.

Whenever one of them changes, DNS servers are told what follows from all of them.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from geo.catalogue import Catalogue, Region
from geo.situation import Situation, Standing
from hub.database import Database, DatabaseUnavailable
from hub.errors import NotFound
from hub.facts import put_fact, read_fact
from hub.geo.catalogue_file import CatalogueFile
from hub.geo.errors import DrainedByCatalogue
from hub.geo.forms import RegionView
from hub.geo.health import Health
from hub.geo.orders import Orders
from hub.geo.prober import Prober
from hub.geo.state import GeoState
from hub.instances.forms import ReplicaView
from hub.instances.instances import Instances
from hub.instances.state import State
from hub.telemetry import HubTelemetry

DOWN = "geo.down"


class Regions:
    """All regions of the catalogue. `open` them first."""

    def __init__(
        self,
        file: CatalogueFile,
        orders: Orders,
        state: GeoState,
        database: Database,
        instances: Instances,
        telemetry: HubTelemetry,
    ) -> None:
        self._file = file
        self._orders = orders
        self._state = state
        self._database = database
        self._instances = instances
        self._telemetry = telemetry
        self._on_turn: Callable[[], None] = _nothing
        orders.listen(self._tell)

    async def open(self, prober: Prober, allow: Callable[[], None]) -> None:
        """Begin with what was known before. allow: called before other regions are looked at.

        Raises: ValueError, OSError, DatabaseUnavailable.
        """
        self._prober, self._allow = prober, allow
        await self._file.open()
        down = await self._database.read(partial(read_fact, name=DOWN))
        self._become(json.loads(down or "[]"))

    def on_turn(self, listener: Callable[[], None]) -> None:
        """Tell *listener* of each region that goes down or comes back."""
        self._on_turn = listener

    # --- how they stand ---------------------------------------------------------------------------

    @property
    def catalogue(self) -> Catalogue:
        return self._file.catalogue

    @property
    def note(self) -> str:
        """Why the catalogue's file as it is now isn't in use."""
        return self._file.note

    def region(self, name: str) -> Region:
        """Give a region. Raises: NotFound."""
        found = self.catalogue.region(name)
        if found is None:
            raise NotFound(f"the catalogue has no region {name}")
        return found

    def health_of(self, name: str) -> Health:
        """Give how a region looks to the hub."""
        return self._prober.health_of(name)

    def is_drained(self, region: Region) -> bool:
        """Say whether a region has no new clients, by the catalogue's word or an operator's."""
        return region.is_drained or region.name in self._orders.drained

    def standing_of(self, region: Region) -> Standing:
        """Give what stands in a region."""
        if self.is_drained(region):
            return Standing.DRAINED
        return Standing.UP if self.health_of(region.name).is_up else Standing.DOWN

    def situation(self) -> Situation:
        """Give what stands in all of them, and the networks that are linked."""
        regions = self.catalogue.regions
        standings = {each.name: self.standing_of(each) for each in regions}
        linked = self._orders.linked
        known = {each.name: linked[each.name] for each in regions if each.name in linked}
        return Situation(standings, known)

    def _tell(self) -> None:
        self._state.become(self.catalogue, self.situation())

    # --- what changes -----------------------------------------------------------------------------

    async def follow(self) -> None:
        """Look whether the catalogue's file changed."""
        if await self._file.follow():
            self._become()

    async def reload(self) -> None:
        """Read the catalogue's file again."""
        if await self._file.reload():
            self._become()

    def _become(self, down: Iterable[str] = ()) -> None:
        self._allow()
        self._prober.become(self.catalogue, down)
        self._tell()

    def turned(self, name: str, health: Health) -> None:
        """Take in that a region is up or down since now."""
        told = [f"{each.address}: {each.error}" for each in health.checks if each.error]
        log = self._telemetry.log.info if health.is_up else self._telemetry.log.warning
        log("region.up" if health.is_up else "region.down", region=name, errors=told)
        self._on_turn()
        self._tell()
        down = [each.name for each in self.catalogue.regions if not self.health_of(each.name).is_up]
        try:
            written = self._database.submit(partial(put_fact, name=DOWN, value=json.dumps(down)))
        except DatabaseUnavailable:
            return  # after a restart the region is up until probes say otherwise
        written.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def drain(self, name: str) -> RegionView:
        """Let a region have no new clients. Raises: NotFound, DatabaseUnavailable."""
        region = self.region(name)
        await self._orders.drain(name)
        return await self.show(region)

    async def resume(self, name: str) -> RegionView:
        """Let a region have clients again. Raises: NotFound, DrainedByCatalogue."""
        region = self.region(name)
        if region.is_drained:
            raise DrainedByCatalogue(f"the catalogue says `drain = true` of {name}")
        await self._orders.resume(name)
        return await self.show(region)

    # --- seeing them ------------------------------------------------------------------------------

    async def list(self) -> tuple[RegionView, ...]:
        """Give all of them. Raises: DatabaseUnavailable."""
        replicas = await self.replicas()
        return tuple(self._view(each, replicas.get(each.name)) for each in self.catalogue.regions)

    async def show(self, region: Region) -> RegionView:
        """Give one. Raises: DatabaseUnavailable."""
        return self._view(region, (await self.replicas()).get(region.name))

    async def replicas(self) -> Mapping[str, ReplicaView]:
        """Give the replica of each region that has one. Raises: DatabaseUnavailable."""
        views = await self._instances.list()
        return {each.region: each for each in views if each.state is not State.DELETED}

    def _view(self, region: Region, replica: ReplicaView | None) -> RegionView:
        status = replica.status if replica else None
        return RegionView(
            name=region.name,
            number=region.number,
            host=region.host,
            addresses=tuple(map(str, region.addresses)),
            networks=tuple(map(str, region.networks)),
            linked=self._orders.networks_of(region.name),
            weight=region.weight,
            standing=self.standing_of(region),
            health=self.health_of(region.name).as_view(),
            is_drained=self.is_drained(region),
            replica=replica.id if replica else None,
            state=replica.state if replica else None,
            lag_seconds=replica.lag_seconds if replica else None,
            load=status.load if status else None,
        )


def _nothing() -> None:
    return None
