"""Disks that are full or read-only, as the kernel makes them: a small tmpfs, a read-only mount."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.processes import run

MIB = 1 << 20


@contextmanager
def small_disk(size: int) -> Iterator[Path]:
    """Mount a file system of *size* bytes for the length of the block, or skip the test."""
    folder = Path(tempfile.mkdtemp(prefix="disk-"))  # short: a store has a unix socket
    try:
        _mount("-t", "tmpfs", "-o", f"size={size},mode=755", "none", str(folder))
        try:
            yield folder
        finally:
            run(("umount", "-l", str(folder))).check()
    finally:
        folder.rmdir()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make whatever is opened below *folder* read-only for the length of the block."""
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        run(("umount", "-l", str(folder))).check()


def _mount(*arguments: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    mounted = run(("mount", *arguments))
    if mounted.status != 0:
        pytest.skip(f"nothing can be mounted here: {mounted.errors.strip()}")


class Filler:
    """Files that leave no room on a disk."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk

    def fill(self, leave: int = 0) -> None:
        """Take all room but *leave* bytes."""
        descriptor = os.open(self._disk / "filler", os.O_WRONLY | os.O_CREAT)
        try:
            size = 0
            for step in (MIB, 64 << 10, 4096):
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(descriptor, size, step)
                        size += step
            os.ftruncate(descriptor, max(0, size - leave))
        finally:
            os.close(descriptor)
        assert leave or self.is_full(), "the disk has room"

    def is_full(self) -> bool:
        """Say whether not even a page is free."""
        probe = self._disk / "probe"
        try:
            probe.write_bytes(b"x")
        except OSError as exc:
            return exc.errno == errno.ENOSPC
        finally:
            probe.unlink(missing_ok=True)
        return shutil.disk_usage(self._disk).free < 4096

    def free(self) -> None:
        """Give the room back."""
        (self._disk / "filler").unlink(missing_ok=True)
