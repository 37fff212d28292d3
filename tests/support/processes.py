"""Programs the tests start: each has a log, and an end for its whole process group.

Rules: a program is started through ``setpriv --pdeathsig KILL`` by one thread that lives as long
as the test process (the kernel sends that signal when the *thread* that started it ends), so none
survives a killed test run. Stopping signals the program, waits, then kills what is left.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import LOOPBACK, answers
from tests.support.waiting import wait_until

STOP_SECONDS = 15.0
START_SECONDS = 30.0
TAIL_BYTES = 4_000

_starter = ThreadPoolExecutor(1, "program-starter")


class ProgramFailed(AssertionError):
    """A program ended, or did not do its work, where the test needs it."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: arguments, log file for stderr (and stdout, unless *output* names another)."""

    argv: tuple[str, ...]
    log: Path
    output: Path | None = None
    environment: Mapping[str, str] | None = None
    folder: Path | None = None


class Process:
    """One run of a program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._popen = _starter.submit(_spawn, program).result()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Signal the program itself, not its children."""
        self._popen.send_signal(number)

    def wait(self, timeout_seconds: float = STOP_SECONDS) -> int:
        """Give the exit status (negative: the signal that ended it).

        Raises: ProgramFailed if it still runs after *timeout_seconds*.
        """
        try:
            return self._popen.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise ProgramFailed(f"{self.program.argv[0]} still runs") from error

    def stop(
        self, number: signal.Signals = signal.SIGTERM, timeout_seconds: float = STOP_SECONDS
    ) -> int:
        """Signal the program and give its exit status; what is left then is killed."""
        try:
            self.send(number)
            return self.wait(timeout_seconds)
        finally:
            self.kill()

    def kill(self) -> int:
        """Kill the whole group and give the exit status."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._popen.wait(STOP_SECONDS)


class Service:
    """A program that listens on one port, started again and again on it.

    is_up: whether it listens, where that can't be asked from here.
    """

    def __init__(
        self,
        program: Program,
        port: int,
        host: str = LOOPBACK,
        is_up: Callable[[], bool] | None = None,
    ) -> None:
        self.program = program
        self.host = host
        self.port = port
        self._is_up = is_up or (lambda: answers(host, port))
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        assert self._process is not None, "not started"
        return self._process

    def start(self) -> None:
        """Run the program until its port answers.

        Raises: ProgramFailed with the end of its log.
        """
        assert self._process is None or not self._process.is_running, "runs already"
        process = self._process = Process(self.program)
        wait_until(
            lambda: not process.is_running or self._is_up(),
            START_SECONDS,
            f"{self.program.argv[0]} listens",
        )
        if not process.is_running:
            raise ProgramFailed(f"{self.program.argv[0]} ended:\n{tail(self.program.log)}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the program; nothing happens if it does not run."""
        if self._process is not None:
            self._process.stop(number)

    def kill(self) -> None:
        """End the program without giving it a say."""
        self.process.kill()


@contextmanager
def running(program: Program) -> Iterator[Process]:
    """Run *program* for the length of the block."""
    process = Process(program)
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def serving(
    program: Program, port: int, host: str = LOOPBACK, is_up: Callable[[], bool] | None = None
) -> Iterator[Service]:
    """Run a listening *program* for the length of the block."""
    service = Service(program, port, host, is_up)
    try:
        service.start()
        yield service
    finally:
        service.stop()


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program that runs to its end went."""

    argv: tuple[str, ...]
    status: int
    output: bytes
    errors: str

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "replace")

    def check(self) -> "Completed":
        """Give itself. Raises: ProgramFailed if the exit status isn't 0."""
        if self.status != 0:
            command = " ".join(self.argv)
            raise ProgramFailed(f"{command}\nstatus {self.status}\n{self.text}{self.errors}")
        return self


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    data: bytes = b"",
    timeout_seconds: float = 60.0,
) -> Completed:
    """Run a program to its end.

    Raises: ProgramFailed if it takes longer than *timeout_seconds*; its group is killed then.
    """
    with _starter.submit(_spawn_piped, argv, environment).result() as popen:
        try:
            output, errors = popen.communicate(data, timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise ProgramFailed(f"{' '.join(argv)}: no end in {timeout_seconds:g} s") from error
        finally:
            with suppress(ProcessLookupError):
                os.killpg(popen.pid, signal.SIGKILL)
    return Completed(tuple(argv), popen.returncode, output, errors.decode("utf-8", "replace"))


def tail(log: Path) -> str:
    """Give the last lines of a log file."""
    text = log.read_bytes() if log.exists() else b""
    return text[-TAIL_BYTES:].decode("utf-8", "replace")


def is_installed(program: str) -> bool:
    """Tell whether the program can be run here; one that begins with "/" is a file of another."""
    if program.startswith("/"):
        return Path(program).exists()
    return shutil.which(program, path=_search_path()) is not None


def _search_path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return os.environ | {"PATH": _search_path()} | dict(extra or {})


def _tied(argv: Sequence[str]) -> list[str]:
    """Give *argv* such that it dies with this process, also if that died a moment ago."""
    if_parent_lives = ["sh", "-c", 'test "$PPID" = "$0" && exec "$@"', str(os.getpid())]
    return ["setpriv", "--pdeathsig", "KILL", "--", *if_parent_lives, *argv]


def _spawn(program: Program) -> subprocess.Popen[bytes]:
    output = program.output or program.log
    with program.log.open("ab") as log, output.open("ab") as out:
        return subprocess.Popen(
            _tied(program.argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            env=_environment(program.environment),
            cwd=program.folder,
            start_new_session=True,
        )


def _spawn_piped(
    argv: Sequence[str], environment: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        _tied(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(environment),
        start_new_session=True,
    )
