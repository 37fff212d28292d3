"""kill -9 before the N-th system call of the store's work, N from 1 until the work ends untouched.

`make test` sweeps a fill and a push over every call that changes something on disk, and samples
the others. With SOAK=1 in the environment every work of the driver is swept over every
call (some 2,000 kills, a few minutes).
"""

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.faults_disk.aftermath import check
from tests.faults_disk.driver import WORKS
from tests.faults_disk.forking import Driver
from tests.faults_disk.sweeping import IS_SOAK, sweep
from tests.faults_disk.tracing import attached, calls_in, injection, was_killed

WHOLE = ("pwrite64", "write", "rename", "unlink", "rmdir", "fallocate", "ftruncate")
SAMPLED_EVERY = {"mkdir": 3, "openat": 9, "close": 9, "fsync": 9, "fdatasync": 9, "fcntl": 9}
SHORT_WORKS = ("fill", "push", "interrupt", "replicate")
SAMPLED_WORKS = {"interrupt": 3, "replicate": 3}


def points(work: str, name: str) -> Iterator[int]:
    """Give the calls of one name to be killed at: all of them, or a sample that starts anywhere."""
    step = 1 if IS_SOAK else SAMPLED_EVERY.get(name, 1) * SAMPLED_WORKS.get(work, 1)
    return count(1 + len(name) % step, step)


def kill_at(driver: Driver, work: str, root: Path, call: str, number: int) -> bool:
    """Do *work* and kill it before its *number*th *call*; False: it has no so many."""
    pid = driver.begin(work, root, inline=True)
    log = root.with_suffix(".log")
    with attached(pid, log, *injection([call], f"signal=KILL:when={number}")):
        status = driver.go()
    if status == 0:
        return False
    assert status == -9, f"{work} failed by itself before {call} {number}"
    assert was_killed(log)
    return True


def kills_at(driver: Driver, work: str, call: str, folder: Path) -> int:
    """Kill *work* at every point of one call; give how many kills there were."""

    def hit(root: Path, number: int) -> bool:
        return kill_at(driver, work, root, call, number)

    return sweep(work, f"a kill before {call}", folder, points(work, call), hit)


@pytest.mark.timeout(1200 if IS_SOAK else 120)
@pytest.mark.parametrize("work", list(WORKS) if IS_SOAK else SHORT_WORKS)
def test_a_kill_at_any_call_leaves_nothing_wrong(driver, fast_folder, work):
    """C2, F1: after a kill -9 before any system call of a fill or a push, what is visible is whole
    and named right, no row and no link dangles, the next start removes the leftovers, and the
    next pull is right and complete. An event that was taken is done, or still to be done.
    """
    kills = {call: kills_at(driver, work, call, fast_folder) for call in (*WHOLE, *SAMPLED_EVERY)}
    assert kills["rename"] >= (2 if work != "start" and work not in SAMPLED_WORKS else 0)
    assert kills["pwrite64"] > 0
    assert sum(kills.values()) > 20


@pytest.mark.parametrize("call", ["rename", "fsync", "pwrite64"])
def test_a_kill_among_threads_leaves_nothing_wrong(driver, fast_folder, call):
    """C2: the same with the store's real threads, where calls come in any order."""
    for number in (1, 2, 3, 5, 8, 13):
        root = fast_folder / f"threads-{number}"
        pid = driver.begin("fill", root, inline=False)
        with attached(
            pid, root.with_suffix(".log"), *injection([call], f"signal=KILL:when={number}")
        ):
            status = driver.go()
        assert status in (-9, 0)
        assert number > 3 or status == -9, "the kill did not fire"
        asyncio.run(check(root))


def test_a_kill_at_any_statement_of_sqlite_leaves_whole_rows(driver, fast_folder):
    """C2, F1: kills swept over the sidecar's own writes: it opens undamaged, with all of a commit
    or nothing of it.
    """
    seen = set()
    for call in ("pwrite64", "fdatasync", "ftruncate"):
        for number in count(1):
            root = fast_folder / f"sqlite-{call}-{number}"
            assert driver.do("start", root, inline=True) == 0
            pid = driver.begin("fill", root, inline=True)
            log, sidecar = root.with_suffix(".log"), root / "proxima.sqlite"
            paths = ("-P", str(sidecar), "-P", f"{sidecar}-journal")
            options = injection([call], f"signal=KILL:when={number}")
            with attached(pid, log, *paths, *options):
                status = driver.go()
            asyncio.run(check(root))
            if status == 0:
                break
            assert status == -9
            seen.update(each.file for each in calls_in(log))
    assert {Path(file).name for file in seen} >= {"proxima.sqlite", "proxima.sqlite-journal"}
