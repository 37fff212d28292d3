"""The replica instances: made, seen, told what they need, deleted.

Nothing is kept beside the database: rules are checked in the transaction that writes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from hub.clock import Clock
from hub.database import Database
from hub.errors import NotFound
from hub.instances import primary, records
from hub.instances.errors import NoPrimary, RegionOfPrimary, ReplicaExists, UnsupportedRegion
from hub.instances.forms import (
    Created,
    Primary,
    PrimaryView,
    Replication,
    ReplicaView,
    SelfReplica,
    SelfView,
)
from hub.instances.lag import lag_of
from hub.instances.records import Record
from hub.instances.state import OVER, Life, Patience, State, state_of
from hub.instances.tokens import hash_of, new_token
from hub.log.cursor import Extent
from hub.members import Member
from hub.regions import Regions


@dataclass(frozen=True, slots=True)
class Plan:
    """What the settings say about instances. replication: where a replica has none of its own."""

    primary: Primary
    regions: Regions
    replication: Replication
    patience: Patience
    keep_deleted_seconds: float
    verify_every_seconds: float


NetworksOf = Callable[[str], tuple[str, ...]]
"""The networks linked to a region."""


def _no_networks(_region: str) -> tuple[str, ...]:
    return ()


class Instances:
    """All instances. `open` them first. They are the hub's `Members`."""

    def __init__(
        self,
        database: Database,
        extent: Callable[[], Extent],
        plan: Plan,
        clock: Clock,
        networks_of: NetworksOf = _no_networks,
    ) -> None:
        self.plan = plan
        self._networks_of = networks_of
        self._database = database
        self._extent = extent
        self._clock = clock
        self._listening_since = clock.wall()

    async def open(self) -> None:
        """Make the primary instance. Raises: PrimaryMoved, DatabaseUnavailable."""
        await self._database.write(partial(primary.settle, primary=self.plan.primary))

    # --- the primary ------------------------------------------------------------------------------

    async def show_primary(self) -> PrimaryView:
        """Give the primary and its replicas. Raises: NotFound, DatabaseUnavailable."""
        return await self._database.read(self._show_primary)

    def _show_primary(self, connection: Connection) -> PrimaryView:
        if not primary.is_there(connection):
            raise NotFound
        known = self.plan.primary
        alive = [each for each in self._views(connection) if each.state is not State.DELETED]
        ids = tuple(each.id for each in alive)
        return PrimaryView(
            known.id, known.region, known.domain, known.url, known.trusted_origins, ids
        )

    async def delete_primary(self) -> None:
        """Delete the primary instance. Raises: HasReplicas, DatabaseUnavailable."""
        await self._database.write(self._delete_primary)

    def _delete_primary(self, connection: Connection) -> None:
        self._sweep(connection)
        primary.remove(connection)

    # --- replicas, for operators ------------------------------------------------------------------

    async def create(self, region: str, replication: Replication | None = None) -> Created:
        """Make a replica.

        Raises: NoPrimary, UnsupportedRegion, RegionOfPrimary, ReplicaExists, DatabaseUnavailable.
        """
        number = self.plan.regions.number_of(region)
        if region == self.plan.primary.region:
            raise RegionOfPrimary(f"{region} is the region of the primary itself")
        if number is None:
            raise UnsupportedRegion(region, sorted(self.plan.regions.numbers))
        replica_id, token = f"{self.plan.primary.id}-{number}", new_token()
        record = Record(replica_id, region, self._clock.wall(), replication, None, Life())
        await self._database.write(partial(self._create, record=record, token=token))
        return Created(replica_id, region, token)

    def _create(self, connection: Connection, record: Record, token: str) -> None:
        self._sweep(connection)
        if not primary.is_there(connection):
            raise NoPrimary
        found = records.by_region(connection, record.region)
        if found is not None and found.life.deleted_at is None:
            raise ReplicaExists(f"{record.region} has a replica already: {found.id}")
        records.add(connection, record, hash_of(token))

    async def list(self) -> tuple[ReplicaView, ...]:
        """Give all of them, those too that were deleted a short time ago."""
        return await self._database.read(self._views)

    async def regions(self) -> tuple[str, ...]:
        """Give the regions that have a replica which may follow."""
        return tuple(each.region for each in await self.list() if each.state not in OVER)

    async def show(self, replica_id: str) -> ReplicaView:
        """Give one. Raises: NotFound, DatabaseUnavailable."""
        return await self._database.read(partial(self._show, replica_id=replica_id))

    async def change(self, replica_id: str, replication: Replication | None) -> ReplicaView:
        """Let one copy something else; None: what the settings say. Raises: NotFound."""
        work = partial(self._change, replica_id=replica_id, replication=replication)
        return await self._database.write(work)

    def _change(
        self, connection: Connection, replica_id: str, replication: Replication | None
    ) -> ReplicaView:
        self._show(connection, replica_id)
        records.put_replication(connection, replica_id, replication)
        return self._show(connection, replica_id)

    async def delete(self, replica_id: str) -> ReplicaView:
        """Begin to delete one: it drains, if it was ever there. Raises: NotFound."""
        return await self._database.write(partial(self._delete, replica_id=replica_id))

    def _delete(self, connection: Connection, replica_id: str) -> ReplicaView:
        self._show(connection, replica_id)
        records.put_draining(connection, replica_id, self._clock.wall())
        self._sweep(connection)
        return self._show(connection, replica_id)

    # --- replicas, for themselves -----------------------------------------------------------------

    async def by_token(self, token: str) -> Member | None:
        """Give the replica of a join token; None: nobody's. Raises: DatabaseUnavailable."""
        found = await self._database.read(partial(records.by_token_hash, token_hash=hash_of(token)))
        if found is None:
            return None
        state = self._state(found)
        return Member(found.id, found.region, state not in OVER, state.value)

    async def tell(self, member: Member) -> SelfView:
        """Give what a replica is told of itself. Raises: NotFound, DatabaseUnavailable."""
        view = await self.show(member.id)
        extent = self._extent()
        return SelfView(
            SelfReplica(view.id, view.region, view.state),
            self.plan.primary,
            view.replication,
            self.plan.verify_every_seconds,
            extent.epoch,
            extent.head,
            self._networks_of(view.region),
        )

    # --- the course of time -----------------------------------------------------------------------

    async def sweep(self) -> None:
        """Delete those that drained, forget the deleted. Raises: DatabaseUnavailable."""
        if await self._database.read(self._is_sweep_due):  # a commit costs an fsync
            await self._database.write(self._sweep)

    def _is_sweep_due(self, connection: Connection) -> bool:
        return any(map(self._is_over, records.everything(connection)))

    def _is_over(self, record: Record) -> bool:
        """Say whether one is to be deleted now, or forgotten."""
        deleted_at = record.life.deleted_at
        if deleted_at is None:
            return self._state(record) is State.DELETED
        return deleted_at < self._clock.wall() - self.plan.keep_deleted_seconds

    def _sweep(self, connection: Connection) -> None:
        now = self._clock.wall()
        for record in records.everything(connection):
            if record.life.deleted_at is None and self._state(record) is State.DELETED:
                records.put_deleted(connection, record.id, now)
        records.forget_deleted(connection, now - self.plan.keep_deleted_seconds)

    def _state(self, record: Record) -> State:
        now = self._clock.wall()
        return state_of(record.life, now, self.plan.patience, self._listening_since)

    def _show(self, connection: Connection, replica_id: str) -> ReplicaView:
        record = records.by_id(connection, replica_id)
        if record is None:
            raise NotFound(f"there is no replica {replica_id}")
        return self._view(connection, record)

    def _views(self, connection: Connection) -> tuple[ReplicaView, ...]:
        return tuple(self._view(connection, each) for each in records.everything(connection))

    def _view(self, connection: Connection, record: Record) -> ReplicaView:
        unread = records.unread_since(connection, record.status, self._extent().epoch)
        life = record.life
        return ReplicaView(
            record.id,
            record.region,
            self._state(record),
            record.created_at,
            life.reported_at,
            life.draining_at,
            life.deleted_at,
            lag_of(record.status, life.reported_at, unread, self._clock.wall()),
            record.replication or self.plan.replication,
            record.status,
        )
