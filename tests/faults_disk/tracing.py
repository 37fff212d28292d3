"""strace attached to a running process: what it asks of the kernel, and faults in that."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import Process, Program
from tests.support.waiting import wait_until

_LINE = re.compile(r"(?P<pid>\d+) +(?P<text>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>.*)")
_UNFINISHED = re.compile(r"(?P<start>.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(?P<rest>.*)")
_DESCRIPTOR = re.compile(r"^\d+<(?P<path>[^>]*)>")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that has ended; calls are in the order of their ends.

    began: the place of its begin in the same order: it runs from there on.
    """

    pid: int
    name: str
    arguments: str
    result: str
    began: int
    ended: int

    @property
    def is_injected(self) -> bool:
        return "(INJECTED)" in self.result

    @property
    def has_failed(self) -> bool:
        return self.result.startswith("-1")

    @property
    def file(self) -> str:
        """Give the path of the descriptor that is its first argument (strace -y)."""
        match = _DESCRIPTOR.match(self.arguments)
        return match["path"].removesuffix("(deleted)") if match else ""

    @property
    def paths(self) -> list[str]:
        """Give its arguments that are text."""
        return _TEXT.findall(self.arguments)


def calls_in(log: Path) -> list[Call]:
    """Read the calls of a log that `strace -f -y -o` wrote."""
    started: dict[int, tuple[int, str]] = {}
    found: list[Call] = []
    for place, line in enumerate(log.read_text("utf-8", "replace").splitlines()):
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        pid, text, began = int(match["pid"]), match["text"], place
        if unfinished := _UNFINISHED.fullmatch(text):
            started[pid] = (place, unfinished["start"])
            continue
        if resumed := _RESUMED.fullmatch(text):
            began, start = started.pop(pid)
            text = start + resumed["rest"]
        if call := _CALL.fullmatch(text):
            found.append(Call(pid, call["name"], call["arguments"], call["result"], began, place))
    return found


def was_killed(log: Path) -> bool:
    """Say whether a log ends with the kill that strace was told to do."""
    return "+++ killed by SIGKILL +++" in log.read_text("utf-8", "replace")


@contextmanager
def attached(pid: int, log: Path, *options: str) -> Iterator[Process]:
    """Trace a running process, its threads and their children for the length of the block."""
    argv = ("strace", "-f", "-y", "-s", "0", "-o", str(log), *options, "-p", str(pid))
    tracer = Process(Program(argv, log.with_suffix(".errors")))
    try:
        wait_until(lambda: _is_traced(pid) or not tracer.is_running, 20, "strace attaches")
        assert tracer.is_running, log.with_suffix(".errors").read_text()
        yield tracer
    finally:
        tracer.stop()


def _is_traced(pid: int) -> bool:
    """Say whether all threads of a process are traced."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return all("TracerPid:\t0\n" not in (task / "status").read_text() for task in tasks)
    except OSError:
        return False


def injection(calls: Sequence[str], fault: str) -> tuple[str, ...]:
    """Give strace's options for a fault in some system calls, which alone are traced."""
    names = ",".join(calls)
    return ("-e", f"trace={names}", "-e", f"inject={names}:{fault}")
