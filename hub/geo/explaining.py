"""Why a client goes where it goes, and what it finds there."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import ip_address

from sqlalchemy import Connection

from geo.catalogue import Address, Catalogue
from geo.nearness import Nearness
from geo.place import Place
from geo.ranking import Ranked, Ranking
from geo.situation import Situation
from hub.database import Database
from hub.errors import Invalid, NotFound
from hub.geo.forms import DnsAnswer, Explained, ExplainedRegion, ExplainQuery
from hub.geo.regions import Regions
from hub.geo.state import Terms
from hub.history import works
from hub.history.arrival import arrival, resolve
from hub.history.forms import Entry
from hub.instances.forms import ReplicaView
from proxy.oci.errors import RegistryError
from proxy.oci.reference import Reference, Repository, split_reference

PlaceOf = Callable[[Address], Place | None]


class Explaining:
    """Explains, with the very code that decides for DNS servers."""

    def __init__(
        self,
        regions: Regions,
        terms: Terms,
        place_of: PlaceOf,
        primary_region: str,
        database: Database,
    ) -> None:
        self._regions = regions
        self._terms = terms
        self._place_of = place_of
        self._primary_region = primary_region
        self._database = database
        self._nearness: Nearness | None = None

    async def explain(self, query: ExplainQuery) -> Explained:
        """Give it. Raises: Invalid: no reference, no address. DatabaseUnavailable."""
        client = _address(query.from_)
        try:
            repository, reference = split_reference(query.reference)
        except RegistryError as exc:
            raise Invalid("reference: expected [host/]repository[:tag|@digest]") from exc
        regions = self._regions
        ranking = await asyncio.to_thread(
            self._rank, client, regions.catalogue, regions.situation()
        )
        replicas = await self._regions.replicas()
        digest, entries = await self._database.read(partial(_found, repository, reference))
        answer = ranking.answer
        addresses = tuple(map(str, answer.addresses))
        return Explained(
            str(repository),
            str(reference),
            digest,
            str(client),
            ranking.by,
            str(ranking.network) if ranking.network else None,
            ranking.place.label if ranking.place else None,
            ranking.reason,
            DnsAnswer(self._terms.domain, answer.name, self._terms.ttl_seconds, addresses),
            tuple(self._region(each, replicas, entries) for each in ranking.regions),
        )

    def _rank(self, client: Address, catalogue: Catalogue, situation: Situation) -> Ranking:
        """Decide. Blocks: for a second, with as many regions and networks as there may be."""
        before, spread = self._nearness, self._terms.spread
        nearness = Nearness(catalogue, situation, self._place_of, spread, before)
        self._nearness = nearness
        return nearness.rank(client)

    def _region(
        self, ranked: Ranked, replicas: Mapping[str, ReplicaView], entries: tuple[Entry, ...]
    ) -> ExplainedRegion:
        name = ranked.region.name
        replica, is_primary = replicas.get(name), name == self._primary_region
        found = arrival(replica, entries) if replica else None
        return ExplainedRegion(
            region=name,
            distance_km=None if ranked.distance_km is None else round(ranked.distance_km, 1),
            standing=ranked.standing,
            may_enter=ranked.may_enter,
            is_primary=is_primary,
            replica=replica.id if replica else None,
            state=replica.state if replica else None,
            lag_seconds=replica.lag_seconds if replica else None,
            entry=found.entry if found else None,
            is_complete=is_primary or (found is not None and found.is_complete),
        )


def _found(
    repository: Repository, reference: Reference, connection: Connection
) -> tuple[str | None, tuple[Entry, ...]]:
    """Give what a reference names, and what replicas said of it."""
    try:
        digest = resolve(connection, repository, reference)
    except NotFound:
        return None, ()
    return digest, works.of_digest(connection, repository, digest)


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError as exc:
        raise Invalid("from: expected an IP address") from exc
