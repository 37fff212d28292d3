"""Hashing files that nobody asked for, without pushing out of the page cache what clients need.

A file that wasn't in memory before isn't afterwards; one that was is left there.
"""

import os
from collections.abc import Callable

from proxy.oci.digest import Algorithm
from proxy.registry.integrity import Stamp

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


def hash_file(
    descriptor: int, algorithm: Algorithm, on_step: Callable[[int], None] = lambda _: None
) -> tuple[str, Stamp]:
    """Give the hex digest of an open file, and the state that it was in. Blocks.

    *on_step* is told how many bytes each step read; what it raises ends the work.

    Raises: OSError.
    """
    stamp = Stamp.of(descriptor)
    hasher = algorithm.hasher()
    was_cached = is_cached(descriptor, stamp.size)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    buffer = bytearray(max(1, min(STEP_BYTES, stamp.size)))
    view, offset, dropped = memoryview(buffer), 0, 0
    try:
        while count := os.preadv(descriptor, [buffer], offset):
            hasher.update(view[:count])
            offset += count
            on_step(count)
            if not was_cached and offset - dropped >= DROP_EVERY_BYTES:
                os.posix_fadvise(descriptor, dropped, offset - dropped, os.POSIX_FADV_DONTNEED)
                dropped = offset
    finally:
        if not was_cached:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    return hasher.hexdigest(), stamp


def is_cached(descriptor: int, size: int) -> bool:
    """Say whether some of a file is in the page cache, judged by a byte here and there."""
    step = max(1, size // PROBES)
    return any(_is_byte_cached(descriptor, offset) for offset in range(0, size, step))


def _is_byte_cached(descriptor: int, offset: int) -> bool:
    try:
        os.preadv(descriptor, [bytearray(1)], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:  # the file system can't tell: better to leave things as they are
        return True
    return True
