"""Sweeps: one work of the driver after the other, each hit at the next of its system calls."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.faults_disk.aftermath import check

IS_SOAK = os.environ.get("SOAK", "") not in ("", "0")
MAY_DANGLE = {"delete", "evict", "mend", "purge", "retag"}

Hit = Callable[[Path, int], bool]


def sweep(work: str, what: str, folder: Path, numbers: Iterable[int], hit: Hit) -> int:
    """Let *work* be hit at each of *numbers*, until it has no so many; give how often it was.

    hit: does the work on the store at a path and hits its N-th call; False: it has no so many.
    """
    for hits, number in enumerate(numbers):
        root = folder / f"{work}-{what}-{number}".replace(" ", "-")
        was_hit = hit(root, number)
        try:
            asyncio.run(check(root, may_dangle=work in MAY_DANGLE, is_damaged=work == "mend"))
        except BaseException as exc:
            exc.add_note(f"after {what} {number} of {work}")
            raise
        shutil.rmtree(root)
        if not was_hit:
            return hits
    raise AssertionError("no end")
