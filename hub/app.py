"""The hub's composition root, and its life: open the database, listen, serve, drain."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from config import HubSettings, hub_secrets
from hub.clock import Clock, SystemClock
from hub.database import Database
from hub.members import Members, NoMembers
from hub.telemetry import HubTelemetry
from hub.web.application import api_application
from hub.web.bearers import Operators
from hub.web.listener import Listener
from proxy.serving.ops import open_ops
from proxy.serving.sockets import Address
from proxy.serving.tls import Certificates
from proxy.telemetry.hub_metrics import HubMetrics
from proxy.telemetry.logs import EventLog

LAG_PERIOD_SECONDS = 0.25
DRAIN_POLL_SECONDS = 0.02


class Hub:
    """The service beside the primary. `start` it, then `stop` it; both once."""

    def __init__(self, settings: HubSettings, log: EventLog, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._telemetry = HubTelemetry(log, HubMetrics())
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
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
            await self._end_tasks()
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        secrets = hub_secrets(self._settings)
        self._operators = Operators(each.reveal() for each in secrets.operators)
        self._database = Database(self._settings.database.url)
        await self._database.open()
        self._stack.push_async_callback(self._database.close)
        self._members: Members = NoMembers()
        await self._open_ops()
        await self._listen(self._routes())
        self._own(self._measure_lag())
        self._state = "ready"

    def _routes(self) -> list[web.RouteDef]:
        return []

    # --- listening --------------------------------------------------------------------------------

    async def _open_ops(self) -> None:
        ops = self._settings.listen.ops
        self.ops_address = await open_ops(
            (ops.host, ops.port),
            self._telemetry.metrics,
            lambda: "" if self._state == "ready" else self._state,
            dict,
            self._stack,
        )

    async def _listen(self, routes: list[web.RouteDef]) -> None:
        certificates = self._read_certificates()
        application = api_application(routes, self._telemetry)
        context = certificates.context if certificates else None
        self._listener = Listener(application, context)
        self._stack.push_async_callback(self._listener.end)
        await self._listener.open((each.host, each.port) for each in self._settings.listen.api)
        if certificates:
            self._own(certificates.follow())

    def _read_certificates(self) -> Certificates | None:
        tls = self._settings.tls
        if tls.certificate is None or tls.key is None:
            return None
        return Certificates(tls.certificate, tls.key, tls.reread, self._telemetry.log)

    @property
    def api_addresses(self) -> list[Address]:
        """Where the primary, replicas and operators reach this hub."""
        return self._listener.addresses

    # --- its tasks --------------------------------------------------------------------------------

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PERIOD_SECONDS
            await asyncio.sleep(LAG_PERIOD_SECONDS)
            self._telemetry.metrics.loop_lag.observe(max(0.0, loop.time() - due))

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end_tasks(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- the end ----------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Drain: not ready at once, no new connections, what is under way finishes."""
        self._state = "draining"
        self._telemetry.log.info("hub.draining")
        await self._listener.close()
        await self._listener.end()
        await self._end_tasks()
        await self._stack.aclose()
        self._telemetry.log.info("hub.stopped")
