"""What can only be said of whole settings: warnings, and whether the files they name are there."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from config.problems import ConfigError, Problem, shown
from config.settings import Settings
from config.values import Secret

_NOT_OWNER = stat.S_IRWXG | stat.S_IRWXO


def warnings(settings: Settings) -> tuple[str, ...]:
    """Give what is allowed but hardly meant, one line each."""
    return tuple(_warnings(settings))


def check_files(settings: Settings) -> tuple[Problem, ...]:
    """Give a problem for each file that can't be read and a store that can't be written."""
    files = {
        "tls.certificate": settings.tls.certificate,
        "tls.key": settings.tls.key,
        "primary.ca_file": settings.primary.ca_file,
        "primary.password_file": settings.primary.password_file,
        "replication.token_file": settings.replication.token_file,
        "replication.ca_file": settings.replication.ca_file,
        "receiving.secret_file": settings.receiving.secret_file,
        "receiving.next_secret_file": settings.receiving.next_secret_file,
    }
    problems = [unreadable(key, path) for key, path in files.items() if path]
    problems.append(unwritable("store.root", settings.store.root))
    return tuple(problem for problem in problems if problem)


def read_password(settings: Settings) -> Secret | None:
    """Give the password of the replica's own identity, None if it has none.

    Raises: ConfigError: `primary.password_file` can't be read, isn't UTF-8 or is empty.
    """
    path = settings.primary.password_file
    return read_text("primary.password_file", path) if path else settings.primary.password


def _warnings(settings: Settings) -> Iterator[str]:
    ops, password_file = settings.listen.ops, settings.primary.password_file
    if not ops.ip.is_loopback:
        yield f"listen.ops: {ops} isn't a loopback address; metrics and health are open to others"
    tags = settings.tags
    if tags.idle_verify < tags.verify_every:
        yield "tags.idle_verify: shorter than tags.verify_every, so no check goes behind an answer"
    if password_file and _mode(password_file) & _NOT_OWNER:
        yield f"primary.password_file: {password_file} is open to others than its owner (chmod 600)"


def unreadable(key: str, path: Path) -> Problem | None:
    if stat.S_ISREG(_mode(path)) and os.access(path, os.R_OK):
        return None
    return Problem(key, "a readable file", shown(str(path)))


def unwritable(key: str, folder: Path) -> Problem | None:
    """Give a problem unless the folder, or the nearest one above that is there, can be written."""
    there = next(each for each in (folder, *folder.absolute().parents) if _mode(each))
    if stat.S_ISDIR(_mode(there)) and os.access(there, os.W_OK | os.X_OK):
        return None
    return Problem(key, "a folder that can be written or made", shown(str(folder)))


def _mode(path: Path) -> int:
    """Give type and permissions of what a path leads to, 0 where it leads to nothing we may see."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def read_text(key: str, path: Path) -> Secret:
    """Give what a file says, less the line's end. Raises: ConfigError: that is nothing."""
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError([_unusable(key, path)]) from exc
    if not text:
        raise ConfigError([_unusable(key, path)])
    return Secret(text)


def _unusable(key: str, path: Path) -> Problem:
    return Problem(key, "a readable text that isn't empty", shown(str(path)))
