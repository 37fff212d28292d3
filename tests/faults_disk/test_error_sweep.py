"""EIO and ENOSPC at the N-th system call of the work, N from 1 until the work ends untouched.

`make test` samples the fill and the fill that was interrupted; `make soak` fails every call of
every work.
"""

import asyncio
import shutil
from itertools import count
from pathlib import Path

import pytest

from tests.faults_disk.aftermath import check
from tests.faults_disk.driver import WORKS
from tests.faults_disk.forking import Driver
from tests.faults_disk.test_kill import IS_SOAK, MAY_DANGLE
from tests.faults_disk.tracing import attached, calls_in, injection

CALLS = {
    "EIO": ("openat", "pread64", "pwrite64", "write", "rename", "unlink", "fsync", "fdatasync"),
    "ENOSPC": ("openat", "mkdir", "fallocate", "pwrite64", "write", "rename", "fsync", "ftruncate"),
}
SAMPLED_EVERY = {"openat": 17, "pread64": 7, "write": 7, "pwrite64": 7, "fsync": 11, "rename": 5}
SAMPLED_WORKS = ("fill", "interrupt")


def fail_at(driver: Driver, work: str, root: Path, call: str, error: str, number: int) -> bool:
    """Do *work* and let its *number*th *call* fail; False: it has no so many."""
    pid = driver.begin(work, root, inline=True)
    log = root.with_suffix(".log")
    with attached(pid, log, *injection([call], f"error={error}:when={number}")):
        status = driver.go()
    assert status in (0, 1), f"{work} ended with {status}"
    return any(each.is_injected for each in calls_in(log))


def sweep(driver: Driver, work: str, call: str, error: str, folder: Path) -> int:
    """Let *work* fail at every point of one call; give how many failures there were."""
    step = 1 if IS_SOAK else SAMPLED_EVERY.get(call, 3)
    for failures, number in enumerate(count(1 + len(call) % step, step)):
        root = folder / f"{work}-{call}-{error}-{number}"
        was_hit = fail_at(driver, work, root, call, error, number)
        try:
            asyncio.run(check(root, may_dangle=work in MAY_DANGLE, is_damaged=work == "mend"))
        except BaseException as exc:
            exc.add_note(f"after {error} from {call} {number} of {work}")
            raise
        shutil.rmtree(root)
        if not was_hit:
            return failures
    raise AssertionError("no end")


@pytest.mark.timeout(1800 if IS_SOAK else 120)
@pytest.mark.parametrize("error", list(CALLS))
@pytest.mark.parametrize("work", list(WORKS) if IS_SOAK else SAMPLED_WORKS)
def test_an_error_of_any_call_leaves_nothing_wrong(driver, fast_folder, work, error):
    """C20, C21: whichever call fails, what is visible is whole and named right, nothing dangles,
    the next start removes the leftovers, and the next pull is right and complete.
    """
    hits = sum(sweep(driver, work, call, error, fast_folder) for call in CALLS[error])
    assert hits > (20 if IS_SOAK else 5)
