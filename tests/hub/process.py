"""A hub as operators run it: a process of its own."""

import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.hub.place import SECRETS, SENDER
from tests.support.ports import LOOPBACK, claimed_port
from tests.support.processes import Process, Program, ProgramFailed, tail
from tests.support.registry_client import RegistryClient, Reply
from tests.support.toml import write_toml
from tests.support.waiting import wait_until

PROJECT = Path(__file__).parents[2]
READY_SECONDS = 30.0


class HubProcess:
    """A hub that runs, or did; its address and database stay when it is started again."""

    def __init__(
        self,
        folder: Path,
        api: str,
        database: Path,
        sections: Mapping[str, Any],
        prefix: Sequence[str] = (),
    ) -> None:
        self.api = api
        self._prefix = prefix
        self.database = database
        self._folder = folder
        self._runs = 0
        self._process: Process | None = None
        self.settings: dict[str, Any] = {
            "listen": {"api": [api], "ops": f"{LOOPBACK}:0"},
            "primary": {"url": "http://127.0.0.1:9"},
            "database": {"url": f"sqlite:///{database}"},
            **sections,
        }

    @property
    def process(self) -> Process:
        assert self._process is not None, "never started"
        return self._process

    @property
    def events_path(self) -> Path:
        return self._folder / f"hub-{self._runs}.jsonl"

    def launch(
        self, environment: Mapping[str, str] = SECRETS, prefix: tuple[str, ...] = ()
    ) -> Process:
        """Run it without waiting; prefix: a program (with its arguments) that runs it."""
        self._runs += 1
        config = write_toml(self._folder / "hub.toml", self.settings)
        program = (*self._prefix, *prefix, sys.executable, "-m", "proxy", "hub")
        argv = (*program, "--config", str(config))
        log = self._folder / f"hub-{self._runs}.log"
        self._process = Process(Program(argv, log, self.events_path, environment, PROJECT))
        return self._process

    def hang_up(self) -> None:
        """Write the settings as they are now, and let it read them again."""
        write_toml(self._folder / "hub.toml", self.settings)
        self.process.send(signal.SIGHUP)

    def start(self, environment: Mapping[str, str] = SECRETS, prefix: tuple[str, ...] = ()) -> None:
        """Run it until it is ready. Raises: ProgramFailed."""
        self.launch(environment, prefix)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until one that was launched is ready. Raises: ProgramFailed."""
        process = self.process
        wait_until(lambda: self.events("hub.ready") or not process.is_running, READY_SECONDS)
        if not process.is_running:
            raise ProgramFailed(self.said())

    def events(self, name: str) -> list[dict[str, Any]]:
        """Give the lines of the latest run that are of one event."""
        complete = self.events_path.read_text().rpartition("\n")[0] if self._runs else ""
        lines = [json.loads(line) for line in complete.splitlines()]
        return [line for line in lines if line["event"] == name]

    def said(self) -> str:
        """Give what the latest run told an operator."""
        return tail(self.process.program.log)

    def post(self, document: object, timeout_seconds: float = 10.0) -> Reply:
        """Post a notification over a connection of its own."""
        client = RegistryClient(f"http://{self.api}", timeout_seconds=timeout_seconds)
        headers = {**SENDER, "Content-Type": "application/json"}
        return client.request("POST", "/notifications", headers, json.dumps(document).encode())


@contextmanager
def hub_process(
    folder: Path, database: Path | None = None, **sections: Any
) -> Iterator[HubProcess]:
    """Give a hub that isn't running yet; it ends with the block."""
    with claimed_port() as port:
        made = HubProcess(folder, f"{LOOPBACK}:{port}", database or folder / "hub.db", sections)
        try:
            yield made
        finally:
            if made._process is not None:
                made.process.kill()
                print(made.said())
