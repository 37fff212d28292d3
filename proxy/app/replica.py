"""A replica's life: open the store, listen, serve, drain."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any

from aiohttp import web

from config import Settings
from proxy.app.chain import Ground, build_chain, known_callers, open_store
from proxy.app.descriptors import clients_for
from proxy.app.front import build_gate
from proxy.app.network import Network, open_network
from proxy.app.verbs import verbs_of_replica
from proxy.net.breakers import BreakerState
from proxy.oci.errors import RegistryError
from proxy.oci.reference import split_reference
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
from proxy.telemetry import EventLog, Metrics, Telemetry
from proxy.web.admit import Gate
from proxy.web.control import ControlSocket, verb_routes
from proxy.web.listener import Listeners, open_socket
from proxy.web.ops import ops_application
from proxy.web.protocol import ConnectionTimes, Server
from proxy.web.tls import Certificates

LAG_PERIOD_SECONDS = 0.25
BUSY_LAG_SECONDS = 0.02
DRAIN_POLL_SECONDS = 0.05
CUT_SECONDS = 0.1  # 0 would let aiohttp wait without end

Address = tuple[str, int]


class Replica:
    """One region's proxy. `start` it, then `stop` it; both once."""

    def __init__(self, settings: Settings, log: EventLog, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._telemetry = Telemetry(log, Metrics())
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._state = "starting"
        self._drain_until = float("inf")
        self._lag_seconds = 0.0
        self.ops_address: Address = ("", 0)

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
        tree = Tree(settings.store.root, self._telemetry)
        await tree.open()
        stack.push_async_callback(tree.close)
        key = await tree.run(load_or_make_key, tree.layout.signing_key, tree.layout.spool)
        issuer = Issuer(key, int(settings.access.token_lifetime), self._clock.wall)
        network = open_network(settings, f"proxima-{issuer.key_id}", self._clock.now, stack)
        ground = await self._ground(tree, network)
        self._chain = build_chain(settings, ground, stack)
        self._gate = build_gate(settings, ground, self._chain, issuer, stack)
        self._watch(network, ground)
        await self._open_ops(network)
        await self._open_control(ground)
        await self._listen(self._gate)
        self._own(_learn_challenge(ground.realm))
        self._own(_forget_credentials(ground.callers.keeper, settings.access.ttl))
        self._own(self._measure_lag())
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
        return Ground(
            open_store(self._settings, tree, self._stack),
            sidecar,
            network,
            realm,
            tokens,
            known_callers(self._settings, self._clock),
            self._clock,
            self._telemetry,
        )

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
        self._listeners = Listeners(self._server, settings.backlog)
        self._stack.push_async_callback(self._listeners.end)
        certificates = self._certificates()
        if certificates:
            self._listeners.use_tls(certificates.context, settings.header_timeout)
        await self._listeners.open(tuple((each.host, each.port) for each in settings.registry))
        if certificates:
            self._own(certificates.follow())

    def _certificates(self) -> Certificates | None:
        tls = self._settings.tls
        if tls.certificate is None or tls.key is None:
            return None
        return Certificates(tls.certificate, tls.key, tls.reread, self._telemetry.log)

    async def _open_ops(self, network: Network) -> None:
        def details() -> dict[str, object]:
            states = network.link.breaker_states()
            store = self._chain.store.tree.health.as_document()
            return {"region": self._settings.region, "primary": states, "store": store}

        application = ops_application(self._telemetry.metrics, self._not_ready, details)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        opened = open_socket((self._settings.listen.ops.host, self._settings.listen.ops.port))
        await web.SockSite(runner, opened).start()
        self.ops_address = opened.getsockname()[:2]

    def _not_ready(self) -> str:
        return "" if self._state == "ready" else self._state

    async def _open_control(self, ground: Ground) -> None:
        chain = self._chain
        explainer = Explainer(
            chain.store, chain.book, chain.tags, ground.network.link, ground.realm
        )

        async def explain(text: str) -> dict[str, object]:
            found = await explainer.explain(*split_reference(text))
            return found.as_document()

        path = chain.store.tree.layout.control_socket
        control = ControlSocket(path, explain, verb_routes(verbs_of_replica(chain, ground)))
        await control.open()
        self._stack.push_async_callback(control.close)

    @property
    def registry_addresses(self) -> list[Address]:
        """Where clients reach this replica."""
        return self._listeners.addresses

    # --- watching ---------------------------------------------------------------------------------

    def _watch(self, network: Network, ground: Ground) -> None:
        metrics, fill = self._telemetry.metrics, self._chain.fill
        metrics.watch("flights", "Fills under way.", lambda: fill.flights)
        metrics.watch("followers", "Clients that follow a fill.", lambda: fill.followers)
        rights = ground.callers.rights
        metrics.watch("rights", "Decisions remembered.", lambda: len(rights))
        health = ground.store.tree.health
        metrics.watch("store_read_only", "1: its disk fails.", lambda: float(health.is_sick))
        sidecar = ground.sidecar
        metrics.watch("sidecar_failures", "Sidecar calls that failed.", lambda: sidecar.failures)

        def breakers() -> dict[str, float]:
            states = list(network.link.breaker_states().values())
            return {state: states.count(state) for state in BreakerState}

        metrics.watch_by("breakers", "Addresses of the primary by breaker.", "state", breakers)

    def _scrub(self, ground: Ground) -> Scrub:
        scrub = Scrub(ground.store, ground.sidecar, self._clock, self._telemetry)
        scrub.is_busy = lambda: self._lag_seconds > BUSY_LAG_SECONDS
        metrics = self._telemetry.metrics
        metrics.watch("scrub_progress_ratio", "How far the scrub is.", lambda: scrub.progress)
        return scrub

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PERIOD_SECONDS
            await asyncio.sleep(LAG_PERIOD_SECONDS)
            self._lag_seconds = max(0.0, loop.time() - due)
            self._telemetry.metrics.loop_lag.observe(self._lag_seconds)

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the end ----------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Drain: not ready at once, no new connections, requests and fills finish up to a limit."""
        loop = asyncio.get_running_loop()
        log = self._telemetry.log
        self._state = "draining"
        self._drain_until = loop.time() + self._settings.listen.drain_limit
        self._listeners.close()
        self._server.pre_shutdown()
        log.info("replica.draining", requests=self._server.busy)
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


async def _forget_credentials(keeper: CredentialKeeper, every_seconds: float) -> None:
    """Let go of passwords that nobody uses any more, whether somebody comes or not."""
    while True:
        await asyncio.sleep(every_seconds)
        keeper.forget_unused()
