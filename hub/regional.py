"""What concerns replicas and regions, put together: instances, the replication log, who waits."""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from config import HubSettings
from hub.api.operator_routes import OperatorRoutes
from hub.api.replica_routes import ReplicaRoutes
from hub.clock import Clock
from hub.database import Database, DatabaseUnavailable
from hub.geo.orders import Orders
from hub.history.forms import EntryState, Trigger
from hub.history.history import History
from hub.history.history import Limits as HistoryLimits
from hub.history.waiting import Waiting
from hub.history.works import Change
from hub.instances.forms import BackfillPolicy, BackfillWish, Primary, Replication, ReplicaView
from hub.instances.instances import Instances, Plan
from hub.instances.state import Patience, State
from hub.log.log import Log
from hub.regions import Regions
from hub.subscription.feed import Feed
from hub.telemetry import HubTelemetry
from hub.web.bearers import Operators
from proxy.net.origins import Origin
from proxy.telemetry.replica_metrics import ReplicaMetrics, ReplicaNumbers

LOOK_SECONDS = 2.0
TRIM_SECONDS = 60.0


class Regional:
    """Those parts of a hub. `open` them, then `run`, then `drain`."""

    def __init__(
        self,
        settings: HubSettings,
        database: Database,
        log: Log,
        clock: Clock,
        telemetry: HubTelemetry,
        orders: Orders,
    ) -> None:
        history = settings.history
        limits = HistoryLimits(history.keep, history.max_entries)
        self.instances = Instances(
            database, lambda: log.extent, plan_of(settings), clock, orders.networks_of
        )
        self._history = History(database, limits, clock)
        self._waiting = Waiting(database, self.instances, history.max_waiting)
        self._telemetry = telemetry
        self._metrics = ReplicaMetrics(telemetry.metrics, tuple(State))
        self._states: dict[str, State] = {}
        self._history.listen(self._waiting.note)
        self._history.listen(self._count)

    async def open(self) -> None:
        """Make the primary instance. Raises: PrimaryMoved, DatabaseUnavailable."""
        await self.instances.open()
        await self._look()

    def routes(self, feed: Feed, operators: Operators) -> list[web.RouteDef]:
        """Give what it answers."""
        instances, history, telemetry = self.instances, self._history, self._telemetry
        counted = self._metrics.refused_entries.inc
        return [
            *ReplicaRoutes(instances, history, telemetry, counted).routes(),
            *OperatorRoutes(
                instances, history, self._waiting, feed, operators, telemetry.log
            ).routes(),
        ]

    def drain(self) -> None:
        """Let those go who wait."""
        self._waiting.drain()

    # --- the course of time -----------------------------------------------------------------------

    async def run(self) -> None:
        """Look at the replicas from time to time, and trim, for as long as this runs."""
        loop = asyncio.get_running_loop()
        trimmed_at = float("-inf")
        while True:
            try:
                await self.instances.sweep()
                await self._look()
                if loop.time() - trimmed_at >= TRIM_SECONDS:
                    self._metrics.trimmed_entries.inc(await self._history.trim())
                    trimmed_at = loop.time()
            except DatabaseUnavailable as exc:
                self._telemetry.log.error("replicas.not_seen", error=repr(exc.__cause__))
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        views = await self.instances.list()
        for view in views:
            before = self._states.get(view.id)
            if before not in (None, view.state):
                self._telemetry.log.info(
                    "replica.state", replica=view.id, state=view.state, before=before
                )
        self._states = {view.id: view.state for view in views}
        self._metrics.show([_numbers(view) for view in views])

    def _count(self, changes: Sequence[Change]) -> None:
        """Count the artifacts that an event brought and that are complete since now."""
        for change in changes:
            entry = change.entry
            if (
                entry.trigger is Trigger.EVENT
                and entry.state is EntryState.COMPLETE
                and change.before is not EntryState.COMPLETE
                and entry.event_at is not None
                and entry.ended_at is not None
            ):
                self._metrics.arrived(entry.region, entry.ended_at - entry.event_at)


def _numbers(view: ReplicaView) -> ReplicaNumbers:
    status = view.status
    return ReplicaNumbers(
        view.region,
        view.state,
        None if view.state is State.DELETED else view.lag_seconds,
        status.queue if status else 0,
        status.bytes_behind if status else 0,
        status.eta_seconds if status else None,
    )


def plan_of(settings: HubSettings) -> Plan:
    """Give what the settings say about instances. Raises: ValueError: regions stand twice."""
    replicas, primary = settings.replicas, settings.primary
    return Plan(
        Primary(
            primary.id,
            primary.region,
            primary.domain or Origin.of(primary.url).authority,
            primary.url,
            primary.trusted_origins,
        ),
        Regions(replicas.regions),
        _replication(settings),
        Patience(replicas.unreachable_after, replicas.drain_limit),
        replicas.keep_deleted,
        settings.replication.verify_every,
    )


def _replication(settings: HubSettings) -> Replication:
    wanted = settings.replication
    return Replication(
        wanted.repositories,
        wanted.tags,
        wanted.platforms,
        wanted.bandwidth,
        wanted.concurrent,
        BackfillWish(BackfillPolicy(wanted.backfill.value), wanted.newest),
    )
