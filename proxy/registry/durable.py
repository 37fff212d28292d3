"""File operations that survive a power cut; all of them block, so they run in threads.

The order is always the same: the file's bytes are synced, then it is renamed into its place, then
every folder that gained an entry is synced. What has a name in the tree is whole.
"""

import errno
import os
import secrets
import shutil
import stat
from pathlib import Path

from proxy.serving.small_file import sync_folder

MOVE_ATTEMPTS = 5
FIT_BYTES = 64 << 10
_NO_LINK_HERE = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP})


def make_folders(folder: Path) -> None:
    """Make *folder* and what is missing above it, each entry durable before this returns."""
    missing: list[Path] = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(mode=0o755, exist_ok=True)
        sync_folder(each.parent)


def move_into_place(source: Path, target: Path) -> None:
    """Rename a synced file to *target*, durably; an older file there is replaced.

    The folder may go again before the rename: whoever evicts takes empty ones away.
    """
    for _ in range(MOVE_ATTEMPTS):
        try:
            make_folders(target.parent)
            source.rename(target)
        except FileNotFoundError:
            if not source.exists():
                raise
        else:
            break
    else:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target))
    sync_folder(target.parent)


def size_of(path: Path) -> int:
    """Give the size of a file; 0 if there is none."""
    try:
        return path.lstat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0


def write_file(target: Path, data: bytes, spool: Path, mode: int = 0o644) -> None:
    """Write a small file: seen whole or not at all, durable when this returns."""
    temporary = spool / f"small-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        descriptor = os.open(temporary, flags, mode)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        move_into_place(temporary, target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _write_all(descriptor: int, data: bytes) -> None:
    """Write all of it: a nearly full disk takes a part and says so by the count alone."""
    while data:
        data = data[os.write(descriptor, data) :]


def read_small(path: Path, limit_bytes: int) -> bytes | None:
    """Give the content of a small regular file; None if there is none (a link isn't followed).

    Raises: OSError: it can't be read, which is not the same as absent.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return os.read(descriptor, limit_bytes)
    finally:
        os.close(descriptor)


def is_fit(folder: Path) -> bool:
    """Say whether a file that is written in *folder* can be read back.

    Raises: OSError.
    """
    data = secrets.token_bytes(FIT_BYTES)
    path = folder / f"probe-{secrets.token_hex(8)}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
        return os.pread(descriptor, FIT_BYTES, 0) == data
    finally:
        os.close(descriptor)
        path.unlink()


def link_file(source: Path, target: Path) -> bool:
    """Give a file a second name; False where that can't be had between these two places."""
    try:
        target.hardlink_to(source)
    except OSError as exc:
        if exc.errno in _NO_LINK_HERE:
            return False
        raise
    return True


def remove_file(path: Path) -> bool:
    """Remove a file durably; say whether it was there."""
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    sync_folder(path.parent)
    return True


def keep_latest(folder: Path, count: int) -> None:
    """Remove all but the latest *count* things in *folder*."""
    for each in sorted(folder.iterdir(), key=lambda each: each.lstat().st_ctime_ns)[:-count]:
        remove_whatever(each)


def remove_whatever(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it; no link is followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
