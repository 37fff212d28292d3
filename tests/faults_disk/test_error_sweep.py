"""EIO and ENOSPC at the N-th system call of the work, N from 1 until the work ends untouched.

`make test` samples the fill and the fill that was interrupted; `make soak` fails every call of
every work.
"""

from itertools import count
from pathlib import Path

import pytest

from tests.faults_disk.driver import WORKS
from tests.faults_disk.forking import Driver
from tests.faults_disk.sweeping import IS_SOAK, sweep
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


def failures_at(driver: Driver, work: str, call: str, error: str, folder: Path) -> int:
    """Let *work* fail at every point of one call; give how many failures there were."""
    step = 1 if IS_SOAK else SAMPLED_EVERY.get(call, 3)

    def hit(root: Path, number: int) -> bool:
        return fail_at(driver, work, root, call, error, number)

    return sweep(work, f"{error} from {call}", folder, count(1 + len(call) % step, step), hit)


@pytest.mark.timeout(1800 if IS_SOAK else 120)
@pytest.mark.parametrize("error", list(CALLS))
@pytest.mark.parametrize("work", list(WORKS) if IS_SOAK else SAMPLED_WORKS)
def test_an_error_of_any_call_leaves_nothing_wrong(driver, fast_folder, work, error):
    """C20, C21: whichever call fails, what is visible is whole and named right, nothing dangles,
    the next start removes the leftovers, and the next pull is right and complete.
    """
    hits = sum(failures_at(driver, work, call, error, fast_folder) for call in CALLS[error])
    assert hits > (20 if IS_SOAK else 5)
