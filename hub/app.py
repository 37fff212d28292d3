"""The hub's composition root, and its life: open the database, listen, serve, drain."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from aiohttp import web

from config import HubSecrets, HubSettings, hub_secrets
from hub.api.description import described
from hub.api.geo_routes import NetworkRoutes, region_routes
from hub.clock import Clock, SystemClock
from hub.database import Database, DatabaseUnavailable
from hub.geo.catalogue_file import CatalogueFile
from hub.geo.orders import Orders
from hub.geographic import Geographic, Ground
from hub.lease import Leases
from hub.log.log import Limits as LogLimits
from hub.log.log import Log
from hub.members import Members
from hub.network import open_pusher
from hub.receiving.intake import Intake
from hub.receiving.operators import ReceivingVerbs
from hub.receiving.parked import ParkedLetters
from hub.receiving.receiver import Receiver
from hub.regional import Regional
from hub.sentinel.sentinel import NoSentinel, Sentinel
from hub.subscription.events import Subscriptions
from hub.subscription.feed import Feed
from hub.telemetry import HubTelemetry
from hub.web.application import api_application
from hub.web.bearers import Operators
from proxy.events.authenticity import Authenticity
from proxy.serving.listener import Listener
from proxy.serving.ops import open_ops
from proxy.serving.sockets import Address
from proxy.serving.standing import Work, keep_running
from proxy.serving.tls import Certificates
from proxy.telemetry.hub_metrics import HubMetrics
from proxy.telemetry.logs import EventLog

LAG_PERIOD_SECONDS = 0.25
TRIM_PERIOD_SECONDS = 60.0


class Hub:
    """The service beside the primary. `start` it, then `stop` it; both once."""

    def __init__(
        self,
        settings: HubSettings,
        log: EventLog,
        clock: Clock | None = None,
        members: Members | None = None,
    ) -> None:
        self._settings = settings
        self._given_members = members
        self._clock = clock or SystemClock()
        self._telemetry = HubTelemetry(log, HubMetrics())
        self._stack = AsyncExitStack()
        self._works: dict[str, Work] = {}
        self._working: asyncio.Task[None] | None = None
        self._state = "starting"
        self.ops_address: Address = ("", 0)

    async def start(self) -> None:
        """Open the database and listen.

        Raises: ConfigError, DatabaseInUse, DatabaseDamaged, SchemaTooNew, DatabaseUnavailable,
        OSError, ValueError: it can't run here.
        """
        try:
            await self._start()
        except BaseException:
            await self._end_works()
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        secrets = hub_secrets(self._settings)
        self._database = Database(self._settings.database.url)
        await self._database.open()
        self._stack.push_async_callback(self._database.close)
        self._log = await self._open_log()
        self._feed = Feed(self._log, self._settings.subscription.buffer, self._telemetry)
        self._orders = Orders(self._database, self._clock)
        await self._orders.open()
        self._regional = Regional(
            self._settings, self._database, self._log, self._clock, self._telemetry, self._orders
        )
        await self._regional.open()
        self._geographic = await self._open_geographic()
        self._members = self._given_members or self._regional.instances
        self._proof = self._open_proof()
        parked = await self._open_parked()
        self._watch(parked)
        await self._open_ops()
        await self._listen(self._routes(secrets, parked))
        self._works |= self._standing_works()
        self._working = asyncio.create_task(keep_running(self._works, self._telemetry.log))
        self._state = "ready"

    # --- its parts --------------------------------------------------------------------------------

    async def _open_log(self) -> Log:
        events = self._settings.events
        limits = LogLimits(events.keep, events.max_events, events.dedupe_within)
        log = Log(self._database, limits, self._clock)
        await log.open()
        self._stack.push_async_callback(log.close)
        return log

    async def _open_parked(self) -> ParkedLetters:
        receiving = self._settings.receiving
        parked = ParkedLetters(self._database, receiving.max_parked, receiving.max_parked_size)
        await parked.open()
        return parked

    async def _open_geographic(self) -> Geographic | None:
        catalogue = self._settings.geo.catalogue
        if catalogue is None:
            return None
        geographic = Geographic(
            Ground(self._settings, self._database, self._clock, self._telemetry),
            CatalogueFile(catalogue, self._telemetry.log),
            self._orders,
            self._regional.instances,
        )
        await geographic.open(self._stack)
        return geographic

    def _open_proof(self) -> Sentinel | NoSentinel:
        settings = self._settings.sentinel
        if not settings.repository:
            return NoSentinel(is_trusted=settings.trust_notifications)
        pusher = open_pusher(self._settings, self._clock, self._stack)
        return Sentinel(pusher, settings.repository, settings.limit, self._clock, self._telemetry)

    def _routes(self, secrets: HubSecrets, parked: ParkedLetters) -> list[web.RouteDef]:
        settings, telemetry, clock = self._settings, self._telemetry, self._clock
        intake = Intake(self._log, parked, self._proof, clock, telemetry)
        receiving = settings.receiving
        authenticity = Authenticity(
            (each.reveal() for each in secrets.senders),
            receiving.header,
            receiving.signature_window,
        )
        operators = Operators(each.reveal() for each in secrets.operators)
        self._subscriptions = Subscriptions(
            self._log, self._feed, self._members, settings.subscription.max_streams
        )
        return described(
            [
                *self._regional.routes(self._feed, operators),
                *self._geo_routes(secrets, operators),
                *Receiver(intake, authenticity, receiving.max_body, clock, telemetry).routes(),
                *ReceivingVerbs(intake, parked, self._log, operators).routes(),
                *self._subscriptions.routes(),
                *Leases(self._log, self._members, self._proof, settings.lease.seconds).routes(),
            ]
        )

    def _geo_routes(self, secrets: HubSecrets, operators: Operators) -> list[web.RouteDef]:
        geographic, instances = self._geographic, self._regional.instances
        both = (*secrets.dns_servers, *secrets.operators)
        dns_servers = Operators(each.reveal() for each in both)
        networks = NetworkRoutes(
            self._orders,
            geographic.known_regions if geographic else instances.regions,
            instances,
            self._feed,
            self._telemetry.log,
        )
        found = geographic.routes() if geographic else None
        return [*networks.routes(operators), *region_routes(found, operators, dns_servers)]

    def _watch(self, parked: ParkedLetters) -> None:
        metrics, log, database = self._telemetry.metrics, self._log, self._database
        metrics.watch("hub_log_head", "Newest event in the log.", lambda: log.extent.head)
        metrics.watch("hub_log_floor", "Newest event trimmed.", lambda: log.extent.floor)
        metrics.watch("hub_streams", "Streams of replicas.", lambda: len(self._feed))
        metrics.watch("hub_parked", "Notifications parked.", lambda: parked.number)
        metrics.watch("hub_commits", "Transactions committed.", lambda: database.commits)
        metrics.watch("hub_database_failures", "Those that failed.", lambda: database.failures)
        metrics.watch(
            "hub_linked_networks",
            "Networks linked to regions.",
            lambda: len(self._orders.everything),
        )
        metrics.watch("hub_leases_given", "1: leases are given.", self._are_leases_given)

    def _are_leases_given(self) -> float:
        return float(not self._proof.doubt())

    # --- listening --------------------------------------------------------------------------------

    async def _open_ops(self) -> None:
        ops = self._settings.listen.ops
        self.ops_address = await open_ops(
            (ops.host, ops.port),
            self._telemetry.metrics,
            lambda: "" if self._state == "ready" else self._state,
            lambda: {"leases": self._proof.doubt() or "given"},
            self._stack,
        )

    async def _listen(self, routes: list[web.RouteDef]) -> None:
        certificates = self._read_certificates()
        application = api_application(routes, self._telemetry)
        context = certificates.context if certificates else None
        listen = self._settings.listen
        self._listener = Listener(application, context, listen.drain_limit)
        self._stack.push_async_callback(self._listener.end)
        await self._listener.open((each.host, each.port) for each in listen.api)
        if certificates:
            self._works["certificates"] = certificates.follow

    def _read_certificates(self) -> Certificates | None:
        tls = self._settings.tls
        if tls.certificate is None or tls.key is None:
            return None
        return Certificates(tls.certificate, tls.key, tls.reread, self._telemetry.log)

    @property
    def api_addresses(self) -> list[Address]:
        """Where the primary, replicas and operators reach this hub."""
        return self._listener.addresses

    # --- its standing works -----------------------------------------------------------------------

    def _standing_works(self) -> dict[str, Work]:
        works: dict[str, Work] = {
            "feed": partial(self._feed.run, self._settings.subscription.heartbeat),
            "regional": self._regional.run,
            "trim": self._trim,
            "lag": self._measure_lag,
            **(self._geographic.works() if self._geographic else {}),
        }
        if isinstance(self._proof, Sentinel):
            works["sentinel"] = partial(self._proof.run, self._settings.sentinel.every)
        return works

    async def _trim(self) -> None:
        while True:
            try:
                removed = await self._log.trim()
            except DatabaseUnavailable as exc:
                self._telemetry.log.error("log.not_trimmed", error=repr(exc.__cause__))
            else:
                self._telemetry.metrics.trimmed_events.inc(removed)
            await asyncio.sleep(TRIM_PERIOD_SECONDS)

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PERIOD_SECONDS
            await asyncio.sleep(LAG_PERIOD_SECONDS)
            self._telemetry.metrics.loop_lag.observe(max(0.0, loop.time() - due))

    async def _end_works(self) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    # --- the end ----------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Drain: not ready at once, no new connections, what is under way finishes.

        Streams end in order, and their replicas are told when to come back.
        """
        self._state = "draining"
        self._telemetry.log.info("hub.draining", streams=len(self._feed))
        await self._listener.close()
        self._subscriptions.is_draining = True
        self._feed.drain(self._settings.subscription.reconnect_within)
        self._regional.drain()
        if self._geographic is not None:
            self._geographic.drain()
        await self._listener.end()
        await self._end_works()
        await self._stack.aclose()
        self._telemetry.log.info("hub.stopped")
