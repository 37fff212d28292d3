"""A replica in this process, on an event loop of its own: started fast, and looked into.

When the block ends the replica is stopped and must have left nothing behind: no task on its loop,
no open file of its store, no file in its spool.
"""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import Address, Duration, Settings
from config.receiving import ReceivingSettings
from config.replication import ReplicationSettings
from config.settings import (
    AccessSettings,
    FillSettings,
    ListenSettings,
    PrimarySettings,
    StoreSettings,
    TagsSettings,
)
from proxy.app import Replica
from proxy.registry.assurance import Assurance
from proxy.registry.clock import SystemClock
from proxy.telemetry import EventLog
from tests.support.loop_thread import LoopThread
from tests.support.metrics import Metrics
from tests.support.ports import LOOPBACK
from tests.support.registry_client import RegistryClient
from tests.support.waiting import wait_until

ANY_FREE = Address(LOOPBACK, 0)
DRAIN_SECONDS = Duration(0.5)

Section = Mapping[str, Any]


class AdvancedClock:
    """The machine's clock, which a test may put forward."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self._ahead_seconds = 0.0

    def advance(self, seconds: float) -> None:
        self._ahead_seconds += seconds

    def now(self) -> float:
        return self._system.now() + self._ahead_seconds

    def wall(self) -> float:
        return self._system.wall() + self._ahead_seconds


@dataclass(frozen=True, slots=True)
class InProcess:
    """A replica that runs; `replica` is for looking, its loop for calling into it."""

    replica: Replica
    clock: AdvancedClock
    store: Path
    log: EventLog
    log_path: Path
    thread: LoopThread

    @property
    def address(self) -> str:
        host, port = self.replica.registry_addresses[0]
        return f"{host}:{port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def client(self) -> RegistryClient:
        """A new client without a login."""
        return RegistryClient(self.url)

    @property
    def flights(self) -> int:
        return self.replica._chain.fill.flights

    @property
    def arrived_bytes(self) -> int:
        """How many bytes the fills under way have got so far."""
        growing = [flight.growing for flight in self.replica._chain.fill._flights._flights.values()]
        return sum(each.arrived for each in growing if each is not None)

    @property
    def spooled(self) -> list[str]:
        """The files that grow, or were left."""
        return [path.name for path in self.replica._chain.store.tree.layout.spool.iterdir()]

    def wait_idle(self, timeout_seconds: float = 10.0) -> None:
        """Wait until no fill is under way. Raises: NeverHappened."""
        wait_until(lambda: self.flights == 0 and not self.spooled, timeout_seconds, "idle")

    def metrics(self) -> Metrics:
        return Metrics.parse(self.replica._telemetry.metrics.exposition().decode())

    def events(self, name: str) -> list[dict[str, Any]]:
        """Give the log lines of one event so far."""
        self.thread.run(_flush(self.log))
        lines = map(json.loads, self.log_path.read_text().splitlines())
        return [line for line in lines if line["event"] == name]


async def _flush(log: EventLog) -> None:
    log.flush()


@contextmanager
def in_process(
    primary_url: str,
    *,
    root: Path | None = None,
    clock: AdvancedClock | None = None,
    assurance: Assurance | None = None,
    **sections: Section,
) -> Iterator[InProcess]:
    """Run a replica for the length of the block.

    root:      where its store is or shall be; a new one that goes with the block if not given.
    assurance: what events tell of tags; without it age alone counts.
    sections:  settings by section, as keyword arguments of the section's class.
    """
    own = Path(tempfile.mkdtemp(prefix="in-process-"))
    settings = _settings(primary_url, root or own / "store", sections)
    try:
        with LoopThread("replica") as thread:
            life = Life(settings, own / "events.jsonl", clock or AdvancedClock(), assurance)
            yield from _lived(life, thread)
            assert thread.run(_tasks_left()) == [], "tasks outlive the replica"
        assert _open_files_below(settings.store.root) == [], "files outlive the replica"
    finally:
        shutil.rmtree(own, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Life:
    """What a replica is started with."""

    settings: Settings
    log_path: Path
    clock: AdvancedClock
    assurance: Assurance | None


def _lived(life: Life, thread: LoopThread) -> Iterator[InProcess]:
    log_path, root = life.log_path, life.settings.store.root
    descriptor = os.open(log_path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        log = EventLog(descriptor)
        replica = thread.run(_started(life, log))
        running = InProcess(replica, life.clock, root, log, log_path, thread)
        try:
            yield running
        finally:
            thread.run(replica.stop())
            thread.run(_flush(log))
            print(log_path.read_text()[-8000:])  # shown by pytest beside a failure
        assert running.spooled == [], "spool files outlive the replica"
    finally:
        os.close(descriptor)


async def _started(life: Life, log: EventLog) -> Replica:
    """Start a replica and let it ask for the challenge, so that no test meets that request."""
    replica = Replica(life.settings, log, life.clock, life.assurance)
    await replica.start()
    asked = [task for task in replica._tasks if "_learn_challenge" in str(task.get_coro())]
    await asyncio.gather(*asked)
    return replica


async def _tasks_left() -> list[str]:
    mine = asyncio.current_task()
    return [str(task) for task in asyncio.all_tasks() if task is not mine]


def _open_files_below(root: Path) -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the listing's own is gone by now
            found.append(str(link.readlink()))
    return [path for path in found if path.startswith(f"{root}/")]


def _settings(primary_url: str, root: Path, sections: Mapping[str, Section]) -> Settings:
    def given(name: str, **defaults: Any) -> dict[str, Any]:
        return {**defaults, **sections.get(name, {})}

    listen = given("listen", registry=(ANY_FREE,), ops=ANY_FREE, drain_limit=DRAIN_SECONDS)
    return Settings(
        region="test",
        listen=ListenSettings(**listen),
        primary=PrimarySettings(**given("primary", url=primary_url)),
        store=StoreSettings(**given("store", root=root)),
        fill=FillSettings(**given("fill")),
        access=AccessSettings(**given("access")),
        tags=TagsSettings(**given("tags")),
        replication=ReplicationSettings(**given("replication")),
        receiving=ReceivingSettings(**given("receiving")),
    )
