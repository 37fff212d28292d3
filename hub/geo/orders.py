"""What operators have said about regions: networks linked, regions drained.

Kept in the database, and in memory as it is there: decisions and answers read the memory alone.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from geo.catalogue import Network
from hub.clock import Clock
from hub.database import Database, Work
from hub.geo import records
from hub.geo.records import Linked, Said


class Orders:
    """All of it. `open` it first; who listens hears of every change once it is durable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._said = Said()
        self._linked: Mapping[str, tuple[Network, ...]] = {}
        self._listeners: list[Callable[[], None]] = []

    async def open(self) -> None:
        """Read it. Raises: DatabaseUnavailable."""
        self._take(await self._database.read(records.everything))

    def listen(self, listener: Callable[[], None]) -> None:
        """Tell *listener* of changes."""
        self._listeners.append(listener)

    # --- what was said ----------------------------------------------------------------------------

    @property
    def everything(self) -> tuple[Linked, ...]:
        """Give all networks that are linked, by region."""
        return self._said.linked

    @property
    def linked(self) -> Mapping[str, tuple[Network, ...]]:
        """Give the networks of each region that has any."""
        return self._linked

    @property
    def drained(self) -> frozenset[str]:
        """Give the regions that have no new clients."""
        return self._said.drained

    def networks_of(self, region: str) -> tuple[str, ...]:
        """Give the networks of a region, as its replica is told."""
        return tuple(map(str, self._linked.get(region, ())))

    # --- saying it --------------------------------------------------------------------------------

    async def link(self, region: str, network: Network) -> Linked:
        """Link a network. Raises: AlreadyLinked, TooManyNetworks, DatabaseUnavailable."""
        wanted = Linked(region, network, self._clock.wall())
        await self._write(partial(records.link, wanted=wanted))
        return wanted

    async def unlink(self, region: str, network: Network) -> None:
        """Take a network away. Raises: NotFound, DatabaseUnavailable."""
        await self._write(partial(records.unlink, region=region, network=network))

    async def drain(self, region: str) -> None:
        """Let a region have no new clients. Raises: DatabaseUnavailable."""
        await self._write(partial(records.drain, region=region, now=self._clock.wall()))

    async def resume(self, region: str) -> None:
        """Let a region have clients again. Raises: DatabaseUnavailable."""
        await self._write(partial(records.resume, region=region))

    async def _write(self, work: Work[Said]) -> None:
        written = self._database.submit(work)
        written.add_done_callback(self._tell)  # also where whoever said it has gone meanwhile
        await asyncio.shield(written)

    def _tell(self, written: "asyncio.Future[Said]") -> None:
        if written.cancelled() or written.exception() is not None:
            return
        self._take(written.result())
        for listener in self._listeners:
            listener()

    def _take(self, said: Said) -> None:
        linked: dict[str, list[Network]] = {}
        for each in said.linked:
            linked.setdefault(each.region, []).append(each.network)
        self._said = said
        self._linked = {region: tuple(networks) for region, networks in linked.items()}
