"""A replica's life: open the store, listen, serve, drain."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any

from config import Change, Settings
from proxy.app.chain import Ground, build_chain, known_callers, open_store
from proxy.app.front import build_gate, known_clients
from proxy.app.garbage import long_collections_once
from proxy.app.lag import LoopLag
from proxy.app.network import Network, open_network
from proxy.app.receiving import open_receiver
from proxy.app.reload import Reloader
from proxy.app.replication import News, Replication, build_replication, open_news, scope_of
from proxy.app.told_networks import KeptNetworks, ToldNetworks
from proxy.app.verbs import verbs_of_replica
from proxy.app.watching import watch
from proxy.oci.errors import RegistryError
from proxy.oci.reference import split_reference
from proxy.registry.assurance import Assurance
from proxy.registry.capacity import Capacity
from proxy.registry.clock import Clock, SystemClock
from proxy.registry.credentials import CredentialKeeper
from proxy.registry.durable import is_fit
from proxy.registry.explain import Explainer
from proxy.registry.issuer import Issuer, load_or_make_key
from proxy.registry.realm import Realm
from proxy.registry.scrub import Scrub
from proxy.registry.sidecar import Sidecar
from proxy.registry.token_service import TokenService
from proxy.registry.tree import Tree
from proxy.replication.load import LoadMeter
from proxy.serving.descriptors import clients_for
from proxy.serving.ops import open_ops
from proxy.serving.sockets import Address
from proxy.serving.standing import keep_running
from proxy.serving.tls import Certificates
from proxy.telemetry import EventLog, Metrics, Telemetry
from proxy.web.acceptor import Tls
from proxy.web.admit import Gate
from proxy.web.announced import Announcements
from proxy.web.control import ControlSocket, verb_routes
from proxy.web.listener import Listeners
from proxy.web.pin_verbs import PinVerbs
from proxy.web.protocol import ConnectionTimes, Server
from proxy.web.replication_verbs import ReplicationVerbs

DRAIN_POLL_SECONDS = 0.05
CUT_SECONDS = 0.1  # 0 would let aiohttp wait without end


class Replica:
    """One region's proxy. `start` it, then `stop` it; both once."""

    def __init__(
        self,
        settings: Settings,
        log: EventLog,
        clock: Clock | None = None,
        assurance: Assurance | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._told_by = News(assurance) if assurance is not None else None
        self._telemetry = Telemetry(log, Metrics())
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._state = "starting"
        self._drain_until = float("inf")
        self._lag = LoopLag(self._telemetry.metrics)
        self.replication: Replication | None = None
        self._told_networks: ToldNetworks | None = None
        self.ops_address: Address = ("", 0)
        self.notification_addresses: list[Address] = []
        self.on_hub_settings: Callable[[], None] = lambda: None
        """Called when the hub has other settings for this replica than it had."""

    async def start(self) -> None:
        """Open the store and listen.

        Raises: StoreInUse, SchemaTooNew, StoreUnavailable, OSError, ValueError: it can't run here.
        """
        try:
            await self._start()
        except BaseException:
            await self._end_tasks()
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        settings, stack = self._settings, self._stack
        stack.enter_context(long_collections_once())
        tree = Tree(settings.store.root, self._telemetry)
        await tree.open()
        stack.push_async_callback(tree.close)
        key = await tree.run(load_or_make_key, tree.layout.signing_key, tree.layout.spool)
        issuer = Issuer(key, int(settings.access.token_lifetime), self._clock.wall)
        network = open_network(settings, f"proxima-{issuer.key_id}", self._clock.now, stack)
        self._news = self._told_by or open_news(settings, self._clock, self._telemetry.log, stack)
        ground = await self._ground(tree, network)
        self._chain = build_chain(settings, ground, stack)
        clients = self._clients = known_clients(settings, self._clock, self._telemetry)
        self._gate = build_gate(settings, ground, self._chain, issuer, clients, stack)
        self._reloader = Reloader(settings, ground, self._chain, clients)
        watch(self._telemetry.metrics, self._chain, ground)
        await self._open_ops(network)
        await self._be_told_networks(tree)
        await self._replicate(ground)
        await self._open_control(ground)
        await self._listen(self._gate)
        await self._receive()
        ground.capacity.start()
        self._own(_learn_challenge(ground.realm))
        self._own(self._forget_credentials(ground.callers.keeper))
        self._own(self._lag.run())
        self._own(tree.health.watch(lambda: tree.run(is_fit, tree.layout.spool)))
        self._own(self._scrub(ground).run(settings.store.scrub_within))
        self._state = "ready"

    async def _ground(self, tree: Tree, network: Network) -> Ground:
        sidecar = Sidecar(tree.layout.sidecar)
        await sidecar.open()
        self._stack.push_async_callback(sidecar.close)
        realm = Realm(network.link, network.realms, sidecar, self._clock)
        self._stack.push_async_callback(realm.close)
        tokens = TokenService(realm, network.link, network.session, network.realms, self._clock)
        self._stack.push_async_callback(tokens.close)
        store = open_store(self._settings, tree, self._stack)
        capacity = Capacity(store, sidecar, self._clock, self._telemetry)
        self._stack.push_async_callback(capacity.close)
        self._capacity = capacity
        return Ground(
            store,
            capacity,
            sidecar,
            network,
            realm,
            tokens,
            known_callers(self._settings, self._clock),
            self._news.assurance,
            self._clock,
            self._telemetry,
        )

    async def _be_told_networks(self, tree: Tree) -> None:
        """Go by the networks that the hub links to this region, where there is a hub."""
        if (following := self._news.following) is None:
            return
        kept, log = KeptNetworks(self._settings.store.root, tree.layout.spool), self._telemetry.log
        told = self._told_networks = ToldNetworks(
            following.hub, kept, self._clients.access, log, on_said=following.told.hear
        )
        await told.load()
        self._own(keep_running({"networks": told.run}, log))

    async def _replicate(self, ground: Ground) -> None:
        """Begin to copy what is pushed, where somebody tells of it."""
        if self._news.marks is None:
            return
        self.replication = await build_replication(self._settings, self._chain, ground, self._news)
        log = self._telemetry.log
        load = LoadMeter(
            self._open_connections, lambda: self._telemetry.metrics.sent_bytes, self._clock.now
        )
        self._own(self.replication.run(self._chain, log, self._hub_has_settings, load.read))

    def _hub_has_settings(self) -> None:
        if self._told_networks is not None:
            self._told_networks.look()
        self.on_hub_settings()

    def _open_connections(self) -> int:
        return self._server.open if self._state != "starting" else 0

    # --- listening --------------------------------------------------------------------------------

    async def _listen(self, gate: Gate) -> None:
        settings = self._settings.listen
        times = ConnectionTimes(
            settings.header_timeout, settings.idle_timeout, settings.write_timeout
        )
        max_connections = clients_for(settings.max_connections)
        if max_connections < settings.max_connections:
            self._telemetry.log.warning("listen.few_descriptors", max_connections=max_connections)
        self._server = Server(gate.handle, gate.refuse, times, max_connections)
        certificates = self._certificates = self._read_certificates()
        self._listeners = Listeners(
            self._server,
            settings.backlog,
            tls=Tls(certificates.context, settings.header_timeout) if certificates else None,
            announcements=self._announcements() if settings.proxy_protocol else None,
        )
        self._stack.push_async_callback(self._listeners.end)
        await self._listeners.open(tuple((each.host, each.port) for each in settings.registry))
        if certificates:
            self._own(certificates.follow())

    async def _receive(self) -> None:
        """Take the primary's notifications, where that is asked for."""
        reception = self.replication.reception if self.replication is not None else None
        if reception is None or not self._settings.listen.notifications:
            return
        context = self._certificates.context if self._certificates is not None else None
        self.notification_addresses = await open_receiver(
            self._settings, reception, context, self._clock, self._telemetry.log, self._stack
        )

    def _read_certificates(self) -> Certificates | None:
        tls = self._settings.tls
        if tls.certificate is None or tls.key is None:
            return None
        return Certificates(tls.certificate, tls.key, tls.reread, self._telemetry.log)

    def _announcements(self) -> Announcements:
        timeout = self._settings.listen.header_timeout
        log, metrics = self._telemetry.log, self._telemetry.metrics
        is_trusted = self._clients.forwarding.is_trusted
        return Announcements(is_trusted, timeout, log, metrics)

    async def _open_ops(self, network: Network) -> None:
        def details() -> dict[str, object]:
            states = network.link.breaker_states()
            store = self._chain.store.tree.health.as_document()
            found: dict[str, object] = {
                "region": self._settings.region,
                "primary": states,
                "store": store,
            }
            if self.replication is not None:
                found["replication"] = self.replication.as_document()
            return found

        ops = self._settings.listen.ops
        self.ops_address = await open_ops(
            (ops.host, ops.port), self._telemetry.metrics, self._not_ready, details, self._stack
        )

    def _not_ready(self) -> str:
        return "" if self._state == "ready" else self._state

    async def _open_control(self, ground: Ground) -> None:
        chain = self._chain
        pins = ground.capacity.pins
        explainer = Explainer(
            chain.store, pins, chain.book, chain.tags, ground.network.link, ground.realm
        )

        async def explain(text: str) -> dict[str, object]:
            found = await explainer.explain(*split_reference(text))
            return found.as_document()

        path = chain.store.tree.layout.control_socket
        routes = [*PinVerbs(pins).routes(), *verb_routes(verbs_of_replica(chain, ground))]
        if (running := self.replication) is not None:
            told = (running.journal, running.history, running.reception, self._settings.region)
            routes += ReplicationVerbs(*told).routes()
        control = ControlSocket(path, explain, routes)
        await control.open()
        self._stack.push_async_callback(control.close)

    @property
    def registry_addresses(self) -> list[Address]:
        """Where clients reach this replica."""
        return self._listeners.addresses

    # --- running ---------------------------------------------------------------------------------

    def _scrub(self, ground: Ground) -> Scrub:
        scrub = Scrub(ground.store, ground.sidecar, self._clock, self._telemetry)
        scrub.is_busy = lambda: self._lag.is_busy
        metrics = self._telemetry.metrics
        metrics.watch("scrub_progress_ratio", "How far the scrub is.", lambda: scrub.progress)
        return scrub

    async def _forget_credentials(self, keeper: CredentialKeeper) -> None:
        """Let go of passwords that nobody uses any more, whether somebody comes or not."""
        while True:
            await asyncio.sleep(self._reloader.settings.access.ttl)
            keeper.forget_unused()

    async def reload(self, fresh: Settings) -> Change[Settings]:
        """Take over what may change at run time; look at the certificate's files.

        Raises: ConfigError: nothing has changed.
        """
        made = await self._reloader.reload(fresh)
        if self.replication is not None:
            self.replication.scope.become(scope_of(made.settings))
            self.replication.repair.become(made.settings)
        if self._certificates is not None:
            await asyncio.to_thread(self._certificates.reread)
        return made

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Tell of work that ended by a fault: nothing waits for it that would."""
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._telemetry.log.error("task.crashed", task=task.get_name(), error=repr(failure))

    # --- the end ----------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Drain: not ready at once, no new connections, requests and fills finish up to a limit."""
        loop = asyncio.get_running_loop()
        log = self._telemetry.log
        self._state = "draining"
        self._drain_until = loop.time() + self._reloader.settings.listen.drain_limit
        self._listeners.close()
        self._server.pre_shutdown()
        log.info("replica.draining", requests=self._server.busy)
        if self.replication is not None:
            await self.replication.workers.drain()
        while self._is_busy and loop.time() < self._drain_until:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_POLL_SECONDS)
        await self._chain.fill.drain(max(0.0, self._drain_until - loop.time()))
        await self._server.shutdown(timeout=CUT_SECONDS)
        await self._end_tasks()
        await self._stack.aclose()
        log.info("replica.stopped")

    @property
    def _is_busy(self) -> bool:
        return self._server.busy > 0 or self._chain.fill.flights > 0

    def hurry(self, seconds: float) -> None:
        """Leave a drain that is under way no more than this."""
        self._drain_until = min(self._drain_until, asyncio.get_running_loop().time() + seconds)

    async def _end_tasks(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _learn_challenge(realm: Realm) -> None:
    """Ask for the primary's challenge at the start, so that an outage finds it remembered."""
    with suppress(RegistryError):
        await realm.challenge()
