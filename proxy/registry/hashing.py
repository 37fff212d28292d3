"""Hashing files that nobody asked for, without pushing out of the page cache what clients need.

A file that wasn't in memory before isn't afterwards; one that was is left there.
"""

import mmap
import os
from collections.abc import Callable

from proxy.oci.digest import Algorithm
from proxy.registry.integrity import Stamp
from proxy.registry.page_cache import is_cached

STEP_BYTES = 1 << 20
DROP_EVERY_BYTES = 8 << 20
PROBES = 8


class Stopped(Exception):
    """Nobody wants the hash any more."""


def open_content(path: str) -> int:
    """Open a content's file: no link is followed, a pipe isn't waited for.

    Raises: OSError.
    """
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)


class FileHash:
    """The hash of an open file, step by step. All of it blocks."""

    def __init__(self, descriptor: int, algorithm: Algorithm) -> None:
        self.stamp = Stamp.of(descriptor)
        self._descriptor = descriptor
        self._hasher = algorithm.hasher()
        self._was_cached = is_partly_cached(descriptor, self.stamp.size)
        self._view = memoryview(bytearray(max(1, min(STEP_BYTES, self.stamp.size))))
        self._offset = 0
        self._dropped = 0
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def step(self) -> int:
        """Read and hash some more; give how many bytes, 0 at the end.

        Raises: OSError.
        """
        count = os.preadv(self._descriptor, [self._view], self._offset)
        self._hasher.update(self._view[:count])
        self._offset += count
        if self._offset - self._dropped >= DROP_EVERY_BYTES:
            self.let_go()
        return count

    def hexdigest(self) -> str:
        """Give the digest of what was read."""
        return self._hasher.hexdigest()

    def let_go(self) -> None:
        """Take out of the page cache what only this brought there."""
        if not self._was_cached:
            os.posix_fadvise(self._descriptor, 0, self._offset, os.POSIX_FADV_DONTNEED)
        self._dropped = self._offset


def hash_file(
    descriptor: int, algorithm: Algorithm, on_step: Callable[[int], None] = lambda _: None
) -> tuple[str, Stamp]:
    """Give the hex digest of an open file, and the state that it was in. Blocks.

    *on_step* is told how many bytes each step read; what it raises ends the work.

    Raises: OSError.
    """
    hashing = FileHash(descriptor, algorithm)
    try:
        while count := hashing.step():
            on_step(count)
    finally:
        hashing.let_go()
    return hashing.hexdigest(), hashing.stamp


def is_partly_cached(descriptor: int, size: int) -> bool:
    """Say whether some of a file is in the page cache, judged by a byte here and there.

    Asking may itself begin to read: one page alone each time, and none twice.
    """
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    step = max(mmap.PAGESIZE, size // PROBES)
    return any(is_cached(descriptor, offset, 1) for offset in range(0, size, step))
