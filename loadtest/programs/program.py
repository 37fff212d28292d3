"""One program that serves: started, ready, ended; none outlives the process that started it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from loadtest.address import Address, answers

_START_SECONDS = 20.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.02
_TAIL_BYTES = 2_000
_ROOT = Path(__file__).parents[2]


class ProgramFailed(Exception):
    """A program isn't there, ended too early, or didn't do what it was asked."""


def python_module(module: str, *arguments: str) -> list[str]:
    """Give the command of a module of this project."""
    return [sys.executable, "-m", module, *arguments]


def environment() -> dict[str, str]:
    """Give the environment of a program: ours, with this project's modules and Debian's sbin."""
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
        "PYTHONPATH": ":".join(path for path in paths if path),
    }


def tied(command: Sequence[str]) -> list[str]:
    """Give *command* so that the kernel ends it with the thread that starts it.

    Raises: ProgramFailed: it isn't installed.
    """
    program = shutil.which(command[0], path=environment()["PATH"])
    if program is None:
        raise ProgramFailed(f"{command[0]} isn't installed")
    return ["setpriv", "--pdeathsig", "KILL", "--", program, *command[1:]]


def output_of(command: Sequence[str], limit_seconds: float) -> str:
    """Run a program to its end; give what it prints.

    Raises: ProgramFailed: it isn't installed, or says that it failed. TimeoutExpired.
    """
    done = subprocess.run(
        tied(command),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=limit_seconds,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise ProgramFailed(f"{command[0]} ended with {done.returncode}: {said}")
    return done.stdout


class Program:
    """A program that serves while its context is entered; its output goes to a log file.

    `wait_until_ready` returns when it serves; `wait_until_listening` and `wait_for_event` help.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        wait_until_ready: Callable[[], object],
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = tied(command)
        self._wait_until_ready = wait_until_ready
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begins_at_bytes = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """The process id.

        Raises: ProgramFailed: it doesn't run.
        """
        if self._process is None:
            raise ProgramFailed(f"{self.name} doesn't run")
        return self._process.pid

    @property
    def rss_bytes(self) -> int:
        """Its resident memory now.

        Raises: ProgramFailed: it doesn't run, or has just ended.
        """
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ProgramFailed(f"{self.name} has no resident memory")

    def start(self) -> None:
        """Start it, and return when it serves.

        Raises: ProgramFailed
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_begins_at_bytes = log.tell()
            # A session of its own: Ctrl-C reaches the caller alone, who ends programs in order.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End it, with patience, and return when it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it without giving it a say."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _wait_until(
        self, is_ready: Callable[[], bool], limit_seconds: float = _START_SECONDS
    ) -> None:
        deadline = time.monotonic() + limit_seconds
        while not is_ready():
            if self._process is None or self._process.poll() is not None:
                if is_ready():  # its last words
                    return
                raise ProgramFailed(f"{self.name} ended at its start:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise ProgramFailed(
                    f"{self.name} isn't ready after {limit_seconds:.0f} s:\n{self._tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def wait_until_listening(self, address: Address) -> None:
        """Return when something accepts connections at *address*.

        Raises: ProgramFailed: the program has ended, or it takes too long.
        """
        self._wait_until(lambda: answers(address))

    def wait_for_event(self, event: str, limit_seconds: float = _START_SECONDS) -> dict[str, Any]:
        """Give the JSON line with *event* that it has logged since its start.

        Raises: ProgramFailed: the program has ended, or it takes too long.
        """
        found: dict[str, Any] = {}

        def has_said_it() -> bool:
            found.update(self._find_event(event))
            return bool(found)

        self._wait_until(has_said_it, limit_seconds)
        return found

    def _find_event(self, event: str) -> dict[str, Any]:
        text = self._said().decode("utf-8", "replace")
        for line in text.splitlines(keepends=True):
            if event in line and line.endswith("\n"):
                with suppress(ValueError):
                    said = json.loads(line)
                    if isinstance(said, dict) and said.get("event") == event:
                        return said
        return {}

    def _said(self) -> bytes:
        """Give what it has logged since its start."""
        return self.log.read_bytes()[self._log_begins_at_bytes :]

    def _tail(self) -> str:
        return self._said()[-_TAIL_BYTES:].decode("utf-8", "replace").strip()
