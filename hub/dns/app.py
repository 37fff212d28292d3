"""`proxima dns serve`: its composition root, and its life."""

import asyncio
from contextlib import AsyncExitStack

from config import DnsSettings
from geo.location import DatabaseUnusable, Locations
from hub.dns.backend import backend_application
from hub.dns.decision import Decision, ZoneFacts
from hub.dns.follower import POLL_SECONDS, Follower
from hub.dns.kept import StateFile
from hub.dns.source import following_limits
from proxy import __version__
from proxy.net.hub import HubAddress, HubClient
from proxy.serving.listener import Listener
from proxy.serving.ops import open_ops
from proxy.serving.sockets import Address
from proxy.serving.standing import keep_running
from proxy.telemetry.dns_metrics import DnsMetrics
from proxy.telemetry.logs import EventLog

ANSWER_SECONDS = POLL_SECONDS + 10.0
LAG_PERIOD_SECONDS = 0.25


class DnsProcess:
    """The process beside a DNS server. `start` it, then `stop` it; both once."""

    def __init__(self, settings: DnsSettings, log: EventLog) -> None:
        self._settings = settings
        self._log = log
        self._metrics = DnsMetrics()
        self._stack = AsyncExitStack()
        self._working: asyncio.Task[None] | None = None
        self._is_draining = False
        self._locations = Locations(settings.database.file)
        self._database_trouble = ""
        self.ops_address: Address = ("", 0)

    async def start(self) -> None:
        """Go on from the state that is kept, listen, and follow the hub.

        Raises: OSError, ValueError: it can't run here.
        """
        try:
            await self._start()
        except BaseException:
            await self._end_work()
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        await self._open_database()
        zone = self._settings.zone
        facts = ZoneFacts(zone.domain, zone.nameservers, zone.hostmaster)
        self._decision = Decision(facts, self._locations, self._log)
        self._follower = Follower(
            self._open_hub(), StateFile(self._settings.state.file), self._decision.take, self._log
        )
        await self._follower.begin()
        self._watch()
        ops = self._settings.listen.ops
        self.ops_address = await open_ops(
            (ops.host, ops.port), self._metrics, self._not_ready, self._details, self._stack
        )
        await self._listen()
        works = {
            "follower": self._follower.run,
            "database": self._follow_database,
            "lag": self._measure_lag,
        }
        self._working = asyncio.create_task(keep_running(works, self._log))

    # --- its parts --------------------------------------------------------------------------------

    def _open_hub(self) -> HubClient:
        hub = self._settings.hub
        client = HubClient(
            HubAddress(hub.url, hub.token_file, hub.ca_file),
            f"proxima-dns/{__version__}",
            following_limits(ANSWER_SECONDS),
        )
        self._stack.push_async_callback(client.close)
        return client

    async def _open_database(self) -> None:
        """A database that can't be used stops nothing: clients get the default meanwhile."""
        try:
            await asyncio.to_thread(self._locations.open)
        except DatabaseUnusable as exc:
            self._say_database(str(exc))

    async def _listen(self) -> None:
        application = backend_application(self._decision.answer, self._metrics, self._log)
        listen = self._settings.listen
        self._listener = Listener(application, None)
        self._stack.push_async_callback(self._listener.end, listen.drain_limit)
        await self._listener.open([(listen.backend.host, listen.backend.port)])

    @property
    def backend_address(self) -> Address:
        """Where the DNS server reaches this process."""
        return self._listener.addresses[0]

    # --- what it shows ----------------------------------------------------------------------------

    def _watch(self) -> None:
        watch, follower = self._metrics.watch, self._follower
        watch(
            "dns_state_age_seconds",
            "Time since the hub last said that the state in use is the current one; +Inf: none.",
            lambda: follower.age_seconds,
        )
        watch(
            "dns_hub_followed",
            "1: the hub's last answer is in use.",
            lambda: float(not follower.trouble),
        )
        watch(
            "dns_database_current",
            "1: the MaxMind DB in use is the file's, or there is to be none.",
            lambda: float(not self._database_trouble),
        )

    def _not_ready(self) -> str:
        if self._is_draining:
            return "draining"
        return "" if self._follower.state else "no state of the regions yet"

    def _details(self) -> dict[str, object]:
        follower = self._follower
        state = follower.state
        return {
            "hub": follower.trouble or "followed",
            "database": self._database_trouble or "current",
            "revision": state.revision if state else None,
            "state_age_seconds": round(follower.age_seconds, 3) if state else None,
        }

    # --- its standing works -----------------------------------------------------------------------

    async def _follow_database(self) -> None:
        while True:
            await asyncio.sleep(self._settings.database.reread)
            await self.reread()

    async def reread(self) -> None:
        """Look whether the database's file changed; one that can't be used changes nothing."""
        trouble = await asyncio.to_thread(self._locations.reload_if_changed)
        self._say_database(trouble or "")

    def _say_database(self, trouble: str) -> None:
        if trouble and trouble != self._database_trouble:
            self._log.error("geo.database_unusable", error=trouble)
        elif self._database_trouble and not trouble:
            self._log.info("geo.database_current")
        self._database_trouble = trouble

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PERIOD_SECONDS
            await asyncio.sleep(LAG_PERIOD_SECONDS)
            self._metrics.loop_lag.observe(max(0.0, loop.time() - due))

    async def _end_work(self) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    async def stop(self) -> None:
        """Take no new calls, let those under way finish, end."""
        self._is_draining = True
        self._log.info("dns.draining")
        await self._listener.close()
        await self._end_work()
        await self._stack.aclose()
        self._log.info("dns.stopped")
