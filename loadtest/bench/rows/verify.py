"""`proxima verify` beside `sha256sum` on the same files: how fast a store is read and hashed."""

import hashlib
import json
import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, at_least
from loadtest.bench.peers import median_ratio
from loadtest.programs.program import ProgramFailed, environment, python_module, tied

_SMALL, _SMALL_BYTES = 1_000, 20_000
_LARGE = 8
_TREE = Path("docker/registry/v2")


class Verify:
    """A store of some large and many small contents, in the page cache for both."""

    name = "verify"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the ratio of the rates; the start of the interpreter is no part of ours."""
        store = lab.room(self.name) / "store"
        files = _fill(store, lab.many_blob_bytes // 2)
        size_bytes = sum(path.stat().st_size for path in files)
        verify = python_module("proxy", "verify", "--store", str(store), "--json")
        ours, theirs, whole = [], [], []
        for _ in range(lab.rounds):
            theirs.append(size_bytes / _timed(["sha256sum", "--", *map(str, files)])[0])
            seconds, output = _timed(verify)
            result = json.loads(output.splitlines()[-1])
            ours.append(result["bytes"] / result["seconds"])
            whole.append(size_bytes / seconds)
        yield Measurement(
            "verify beside sha256sum on the same files: bytes/s",
            median_ratio(ours, theirs),
            at_least(0.8),
            f"{_show(ours)} beside {_show(theirs)}; {_show(whole)} with the start of the program",
        )


def _fill(store: Path, large_bytes: int) -> list[Path]:
    """Write contents into a tree; give their files."""
    source = random.Random(1)
    (store / _TREE / "repositories").mkdir(parents=True)
    sizes = [large_bytes] * _LARGE + [_SMALL_BYTES] * _SMALL
    return [_put(store, source.randbytes(size)) for size in sizes]


def _put(store: Path, data: bytes) -> Path:
    name = hashlib.sha256(data).hexdigest()
    path = store / _TREE / "blobs/sha256" / name[:2] / name / "data"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return path


def _timed(command: Sequence[str]) -> tuple[float, str]:
    """Run a command; give its seconds and what it printed.

    Raises: ProgramFailed.
    """
    started = time.monotonic()
    done = subprocess.run(
        tied(command), capture_output=True, text=True, check=False, env=environment()
    )
    seconds = time.monotonic() - started
    if done.returncode:
        raise ProgramFailed(f"{command[0]}: {done.stderr[-500:]}")
    return seconds, done.stdout


def _show(rates: Sequence[float]) -> str:
    return f"{median(rates) / 1e6:,.0f} MB/s"
