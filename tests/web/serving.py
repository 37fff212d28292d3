"""A replica within the test process, on a loop of its own: quick to start, its parts at hand."""

import asyncio
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from config import load
from proxy.app import Replica
from proxy.telemetry import EventLog
from tests.support.hostile import HostileUpstream
from tests.support.loop_thread import LoopThread
from tests.support.metrics import Metrics
from tests.support.ports import LOOPBACK, address_of
from tests.support.registry_client import RegistryClient
from tests.support.toml import Section, write_toml
from tests.support.waiting import wait_until

LOOPS = ("asyncio", "uvloop")

Event = Mapping[str, Any]


@dataclass(slots=True)
class Serving:
    """A replica that serves; *thread* runs its loop."""

    replica: Replica
    thread: LoopThread
    log: EventLog
    events_file: Path
    store: Path
    scheme: str
    is_stopped: bool = False

    @property
    def addresses(self) -> list[str]:
        return [address_of(*each) for each in self.replica.registry_addresses]

    @property
    def address(self) -> str:
        """The first address on which clients pull and push."""
        return self.addresses[0]

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"

    @property
    def ops(self) -> str:
        return address_of(*self.replica.ops_address)

    def metrics(self) -> Metrics:
        """Give the current metrics."""
        page = RegistryClient(f"http://{self.ops}").get("/metrics").expect(200)
        return Metrics.parse(page.body.decode())

    def log_text(self) -> str:
        """Give all that was logged so far."""
        self.thread.loop.call_soon_threadsafe(self.log.flush)
        self.thread.run(asyncio.sleep(0))
        return self.events_file.read_text("ascii")

    def events(self, name: str | None = None) -> list[Event]:
        """Give the log lines so far, or those of one event. Raises: ValueError: not JSON."""
        lines = [json.loads(line) for line in self.log_text().splitlines()]
        return [line for line in lines if name in (None, line["event"])]

    def wait_event(self, name: str, **fields: object) -> Event:
        """Wait for a log line of an event that has these fields. Raises: NeverHappened."""

        def found() -> Event | None:
            return next((e for e in self.events(name) if fields.items() <= e.items()), None)

        event = wait_until(found, what=f"event {name} {fields}")
        assert event is not None
        return event

    def stop(self) -> None:
        """Drain and end the replica."""
        self.is_stopped = True
        self.thread.run(self.replica.stop())


class _UvloopThread(LoopThread):
    """As the base, on uvloop."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.loop.close()
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)


@contextmanager
def serving(
    primary: str | HostileUpstream, /, *, loop: str = "asyncio", **sections: Section
) -> Iterator[Serving]:
    """Run a replica of *primary* for the length of the block.

    sections: settings by section, over defaults. A hostile upstream's record begins when the
    replica has learnt its challenge, so that what it holds is what clients caused.
    """
    folder = Path(tempfile.mkdtemp(prefix="serving-"))  # short: the store has a unix socket
    url = primary if isinstance(primary, str) else primary.url
    settings = load(write_toml(folder / "replica.toml", _settings(url, folder, sections)), {}, {})
    events_file = folder / "events.jsonl"
    descriptor = os.open(events_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    log = EventLog(descriptor)
    try:
        with _UvloopThread("replica") if loop == "uvloop" else LoopThread("replica") as thread:
            replica = Replica(settings, log)
            thread.run(replica.start())
            scheme = "https" if "tls" in sections else "http"
            running = Serving(replica, thread, log, events_file, settings.store.root, scheme)
            try:
                if isinstance(primary, HostileUpstream):
                    wait_until(lambda: primary.count("GET", "/v2/"), what="the challenge is known")
                    primary.forget()
                yield running
            finally:
                if not running.is_stopped:
                    running.stop()
                print(running.events_file.read_text()[-4000:])  # pytest shows it on failure
    finally:
        os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


def _settings(url: str, folder: Path, sections: Mapping[str, Section]) -> dict[str, Any]:
    defaults: dict[str, dict[str, Any]] = {
        "listen": {
            "registry": [f"{LOOPBACK}:0"],
            "ops": f"{LOOPBACK}:0",
            "drain_limit": "1s",
        },
        "primary": {"url": url},
        "store": {"root": folder / "store"},
    }
    names = defaults.keys() | sections.keys()
    return {name: {**defaults.get(name, {}), **sections.get(name, {})} for name in names}
