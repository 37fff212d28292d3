"""A replica in this process, with clocks that the test sets, on one address over restarts."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from config import Address, Settings
from config.settings import (
    AccessSettings,
    FillSettings,
    ListenSettings,
    PrimarySettings,
    StoreSettings,
    TagsSettings,
    TlsSettings,
)
from proxy.app import Replica
from proxy.telemetry import EventLog
from tests.support.accounts import Credentials
from tests.support.loop_thread import LoopThread
from tests.support.metrics import Metrics
from tests.support.ports import LOOPBACK, claimed_port
from tests.support.registry_client import RegistryClient

PARTS = {
    "access": AccessSettings,
    "fill": FillSettings,
    "listen": ListenSettings,
    "primary": PrimarySettings,
    "store": StoreSettings,
    "tags": TagsSettings,
    "tls": TlsSettings,
}


@dataclass(slots=True)
class ManualClock:
    """Both clocks; they stand still until the test moves them."""

    seconds: float = 1_000_000.0
    wall_seconds: float = field(default_factory=time.time)

    def now(self) -> float:
        return self.seconds

    def wall(self) -> float:
        return self.wall_seconds

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.seconds += seconds
        self.wall_seconds += seconds


@dataclass(slots=True)
class InProcess:
    """A replica that runs, or did."""

    thread: LoopThread
    settings: Settings
    log: Path
    clock: ManualClock
    _running: Replica | None = None

    @property
    def replica(self) -> Replica:
        assert self._running is not None, "not running"
        return self._running

    @property
    def address(self) -> str:
        return str(self.settings.listen.registry[0])

    @property
    def url(self) -> str:
        return f"{'https' if self.settings.tls.certificate else 'http'}://{self.address}"

    def client(self, credentials: Credentials | None = None) -> RegistryClient:
        """Give a new client without any login so far."""
        return RegistryClient(self.url, credentials)

    def start(self) -> None:
        """Run it until it listens and has asked for the primary's challenge."""
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._running = Replica(self.settings, EventLog(descriptor), self.clock)
        self.thread.run(self.replica.start())
        self.thread.run(_until_asked(self.replica))

    def stop(self) -> None:
        """Drain and end it."""
        if self._running is not None:
            self.thread.run(self.replica.stop())
            self._running = None

    def restart(self) -> None:
        """Run a new one on the same store and address; what was in memory is gone."""
        self.stop()
        self.start()

    def metrics(self) -> Metrics:
        """Give the current metrics."""
        return Metrics.parse(self.replica._telemetry.metrics.exposition().decode())

    def decisions(self, use: str) -> float:
        """Count the rights that were looked up with this result."""
        return self.metrics().value("proxima_decisions_total", use=use)


async def _until_asked(replica: Replica) -> None:
    """Wait for the tasks of the start that end by themselves: the challenge is asked for."""
    for task in tuple(replica._tasks):
        if "_learn_challenge" in repr(task.get_coro()):
            await task


@contextmanager
def in_process(primary_url: str, /, **sections: Mapping[str, Any]) -> Iterator[InProcess]:
    """Run a replica of the primary there for the length of the block.

    sections: the settings that differ from the defaults, by section, as the settings hold them.
    """
    folder = Path(tempfile.mkdtemp(prefix="access-"))  # short: the store has a unix socket
    with claimed_port() as port, LoopThread(f"replica-{port}") as thread:
        own: dict[str, dict[str, Any]] = {
            "listen": {"registry": (Address(LOOPBACK, port),), "ops": Address(LOOPBACK, 0)},
            "primary": {"url": primary_url},
            "store": {"root": folder / "store"},
        }
        for name, given in sections.items():
            own[name] = {**own.get(name, {}), **given}
        parts = {name: PARTS[name](**values) for name, values in own.items()}
        one = InProcess(thread, Settings(**parts), folder / "events.jsonl", ManualClock())
        one.start()
        try:
            yield one
        finally:
            one.stop()
            shutil.rmtree(folder, ignore_errors=True)


def with_section(settings: Settings, name: str, **changes: Any) -> Settings:
    """Give *settings* with a section changed, for a restart."""
    return replace(settings, **{name: replace(getattr(settings, name), **changes)})
