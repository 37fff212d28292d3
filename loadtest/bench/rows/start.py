"""A start on a store with very many links: nothing walks the tree before it is ready."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, at_most
from loadtest.programs import Replica, TinyPrimary
from loadtest.units import show_seconds

_REPOSITORIES = 100
_MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of our own is made in it


class Start:
    """Links of layers as a fill writes them, in a hundred repositories."""

    name = "start"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the time from the start of the process to the line that says it is ready."""
        with ExitStack() as stack:
            room = Path(stack.enter_context(TemporaryDirectory(dir=fast_place(lab.folder))))
            primary = stack.enter_context(TinyPrimary(room))
            replica = Replica(room / "replica", primary=primary.url)
            _make_links(replica.store, lab.many_links)
            started = time.monotonic()
            stack.enter_context(replica)
            seconds = time.monotonic() - started
        yield Measurement(
            f"start on a store with {lab.many_links:,} links",
            1000 * seconds,
            at_most(2000, "ms"),
            f"{show_seconds(seconds)} with the interpreter's own start",
        )


def fast_place(folder: Path) -> Path:
    """Give a place in memory, if there is one: to write so many files takes minutes on a disk."""
    return _MEMORY if os.access(_MEMORY, os.W_OK) else folder


def _make_links(store: Path, count: int) -> None:
    for number in range(_REPOSITORIES):
        folder = store / f"docker/registry/v2/repositories/many/r{number}/_layers/sha256"
        folder.mkdir(parents=True)
        for link in range(count // _REPOSITORIES):
            _make_link(os.fspath(folder), hashlib.sha256(b"%d %d" % (number, link)).hexdigest())


def _make_link(folder: str, digits: str) -> None:
    os.mkdir(f"{folder}/{digits}")  # noqa: PTH102  # a million of these
    descriptor = os.open(f"{folder}/{digits}/link", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, f"sha256:{digits}".encode())
    os.close(descriptor)
