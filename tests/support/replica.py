"""A replica as operators run it: a process of its own, with its settings, store and log."""

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.metrics import Metrics
from tests.support.ports import LOOPBACK, claimed_port
from tests.support.processes import Process, Program, ProgramFailed, tail
from tests.support.registry_client import RegistryClient, Reply
from tests.support.toml import Section, write_toml
from tests.support.waiting import wait_until

READY_SECONDS = 30.0
PROJECT = Path(__file__).parents[2]

Event = Mapping[str, Any]


@dataclass(slots=True)
class Replica:
    """A replica that runs, or did; its addresses stay the same when it is started again.

    prefix:    a program (with its arguments) that runs the replica: strace, prlimit.
    arguments: more of its own.
    """

    folder: Path
    settings: dict[str, Any]
    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    arguments: tuple[str, ...] = ()
    registry: tuple[str, ...] = ()
    ops: str = ""
    _runs: list[Process] = field(default_factory=list)

    @property
    def process(self) -> Process:
        """The latest run."""
        assert self._runs, "never started"
        return self._runs[-1]

    @property
    def address(self) -> str:
        """The first address on which clients pull and push."""
        return self.registry[0]

    @property
    def url(self) -> str:
        return f"{'https' if 'tls' in self.settings else 'http'}://{self.address}"

    @property
    def store(self) -> Path:
        section = self.settings["store"]
        assert isinstance(section, Mapping)
        return Path(str(section["root"]))

    def start(self) -> None:
        """Run it until it says that it is ready. Raises: ProgramFailed with the end of its log."""
        self.launch()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until one that was launched says so. Raises: ProgramFailed."""
        process = self.process
        ready = wait_until(self._ready_or_ended, READY_SECONDS, "replica.ready")
        if not process.is_running:
            raise ProgramFailed(f"the replica ended:\n{self.log_tail()}")
        assert isinstance(ready, Mapping)
        self.registry, self.ops = tuple(ready["registry"]), ready["ops"]

    def launch(self) -> Process:
        """Run it without waiting: for starts that are expected to fail."""
        assert not self._runs or not self.process.is_running, "runs already"
        config = write_toml(self.folder / "replica.toml", self.settings)
        run = len(self._runs)
        command = (sys.executable, "-m", "proxy", "replica", "--config", str(config))
        argv = (*self.prefix, *command, *self.arguments)
        log, output = self.folder / f"errors-{run}.log", self.folder / f"events-{run}.jsonl"
        program = Program(argv, log, output, self.environment, PROJECT)
        self._runs.append(Process(program))
        return self.process

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_seconds: float = 20.0) -> int:
        """Signal it and give its exit status."""
        return self.process.stop(number, timeout_seconds)

    def kill(self) -> None:
        """End it without giving it a say."""
        self.process.kill()

    def restart(self, **changes: Any) -> None:
        """Stop it if it runs, and start it on the same addresses and store.

        changes: settings that replace those of before (whole sections).
        """
        self.process.stop()
        self.settings |= changes
        self.start()

    def events(self, name: str | None = None) -> list[Event]:
        """Give the log lines of all runs so far, or those of one event."""
        logs = [run.program.output for run in self._runs]
        lines = [line for log in logs if log for line in _lines(log)]
        return [line for line in lines if name in (None, line.get("event"))]

    def wait_event(self, name: str, timeout_seconds: float = 10.0, **fields: object) -> Event:
        """Wait for a log line of an event that has these fields. Raises: NeverHappened."""

        def find() -> Event | None:
            found = (each for each in self.events(name) if fields.items() <= each.items())
            return next(found, None)

        event = wait_until(find, timeout_seconds, f"event {name} {fields}")
        assert event is not None
        return event

    def get_ops(self, path: str) -> Reply:
        """Ask the operators' listener."""
        return RegistryClient(f"http://{self.ops}").get(path)

    def metrics(self) -> Metrics:
        """Give the current metrics."""
        return Metrics.parse(self.get_ops("/metrics").expect(200).body.decode())

    def log_tail(self) -> str:
        """Give the end of what the latest run said, for messages."""
        program = self.process.program
        return tail(program.output or program.log) + tail(program.log)

    def _ready_or_ended(self) -> Event | bool | None:
        output = self.process.program.output
        ready = [each for each in _lines(output) if each.get("event") == "replica.ready"]
        return ready[-1] if ready else not self.process.is_running


@contextmanager
def replica(
    primary: str | Section,
    *,
    folder: Path | None = None,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    **sections: Any,
) -> Iterator[Replica]:
    """Run a replica of *primary* (a URL, or the whole section) for the length of the block.

    sections: the other settings by section; addresses, region and store have defaults.
    folder:   where settings, log and store go; a new one that goes with the block if not given.
    """
    own = Path(tempfile.mkdtemp(prefix="replica-"))  # short: the store has a unix socket
    with claimed_port() as registry_port, claimed_port() as ops_port:
        settings = _settings(primary, folder or own, registry_port, ops_port, sections)
        running = Replica(folder or own, settings, tuple(prefix), environment)
        try:
            running.start()
            yield running
        finally:
            _end(running)
            shutil.rmtree(own, ignore_errors=True)


def _end(running: Replica) -> None:
    if running._runs:
        running.process.stop()
        print(running.log_tail())  # shown by pytest beside the failure


def _settings(
    primary: str | Section,
    folder: Path,
    registry_port: int,
    ops_port: int,
    sections: Section,
) -> dict[str, Any]:
    listen: Section = {
        "registry": [f"{LOOPBACK}:{registry_port}"],
        "ops": f"{LOOPBACK}:{ops_port}",
    }
    defaults: dict[str, Any] = {
        "region": "test",
        "listen": listen,
        "primary": {"url": primary} if isinstance(primary, str) else primary,
        "store": {"root": folder / "store"},
    }
    return defaults | {name: _merged(defaults.get(name), given) for name, given in sections.items()}


def _merged(default: Any, given: Any) -> Any:
    if isinstance(default, Mapping) and isinstance(given, Mapping):
        return {**default, **given}
    return given


def _lines(log: Path | None) -> list[Event]:
    """Give the complete JSON lines of a log file."""
    if log is None or not log.exists():
        return []
    complete = log.read_text("utf-8", "replace").rpartition("\n")[0]
    return [parsed for line in complete.split("\n") if (parsed := _parsed(line)) is not None]


def _parsed(line: str) -> Event | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
