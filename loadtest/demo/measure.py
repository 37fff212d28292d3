"""What some work costs: its time, and what entered a link meanwhile."""

import time
from collections.abc import Callable

from loadtest.demo.promise import Cost
from loadtest.programs import LinkProgram


def measure(link: LinkProgram, work: Callable[[], object]) -> Cost:
    """Do the work and give what it cost."""
    before = link.counts()
    started = time.monotonic()
    work()
    seconds = time.monotonic() - started
    after = link.counts()
    return Cost(seconds, after.down_bytes - before.down_bytes, after.up_bytes - before.up_bytes)
