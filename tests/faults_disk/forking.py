"""Runs of the driver: a child for each order, held back until a tracer is attached."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]


@dataclass(slots=True)
class Driver:
    """A running driver; one order at a time."""

    process: "subprocess.Popen[str]"

    def begin(self, work: str, root: Path, *, inline: bool) -> int:
        """Fork a child for some work on the store at *root*; give its pid. It waits for `go`."""
        return int(self._ask(json.dumps({"work": work, "root": str(root), "inline": inline})))

    def go(self) -> int:
        """Let the child run and give its exit status; negative: the signal that ended it."""
        return int(self._ask("go"))

    def do(self, work: str, root: Path, *, inline: bool = False) -> int:
        """Let a child do some work undisturbed and give its exit status."""
        self.begin(work, root, inline=inline)
        return self.go()

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


@contextmanager
def running_driver(log: Path) -> Iterator[Driver]:
    """Run a driver for the length of the block."""
    argv = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tests.faults_disk.driver"]
    with (
        log.open("ab") as errors,
        subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=PROJECT,
            text=True,
        ) as process,
    ):
        try:
            yield Driver(process)
        finally:
            process.kill()
