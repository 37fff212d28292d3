"""Fills that were interrupted: what the spool holds of them, for whoever asks again.

Rules:
- A mark says how many bytes from the start are in the file. It is written after they were synced,
  so that a power cut leaves at least as much; never does the file's size say it.
- What is taken up again is hashed from the start like anything that arrives.
- Few are kept, the latest; they go as soon as there is no room.
- A file without a mark is a leftover.
"""

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from proxy.oci.digest import Digest
from proxy.oci.errors import DigestInvalid
from proxy.registry import durable

MAX_INTERRUPTED = 16
WORTH_KEEPING_BYTES = 16 << 20
MAX_MARK_BYTES = 1000
_SUFFIX = ".mark"


@dataclass(frozen=True, slots=True)
class Mark:
    """A file in the spool of which the first *here* bytes of *size* are durable."""

    digest: Digest
    path: Path
    size: int
    here: int

    def write(self) -> None:
        """Write the mark; the file's bytes are synced. Blocks. Raises: OSError."""
        text = json.dumps({"digest": str(self.digest), "size": self.size, "here": self.here})
        durable.write_file(_mark_of(self.path), text.encode(), self.path.parent)


def discard(path: Path) -> None:
    """Remove a growing file, its mark first, unless it was renamed. Blocks. Raises: OSError."""
    _mark_of(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _mark_of(path: Path) -> Path:
    return path.with_name(path.name + _SUFFIX)


def read_marks(spool: Path) -> list[Mark]:
    """Give what can be taken up again, the oldest first. Blocks. Raises: OSError."""
    paths = sorted(spool.glob(f"*{_SUFFIX}"), key=lambda path: path.lstat().st_mtime_ns)
    return [mark for path in paths if (mark := _read(path)) is not None]


def _read(path: Path) -> Mark | None:
    file = path.with_name(path.name.removesuffix(_SUFFIX))
    try:
        told = json.loads(durable.read_small(path, MAX_MARK_BYTES) or b"")
        mark = Mark(Digest.parse(told["digest"]), file, int(told["size"]), int(told["here"]))
        is_whole = 0 < mark.here <= mark.size and file.lstat().st_size >= mark.here
    except (ValueError, KeyError, TypeError, DigestInvalid, FileNotFoundError):
        return None
    return mark if is_whole else None


class Interrupted:
    """What can be taken up again, by digest. What isn't is removed."""

    def __init__(self) -> None:
        self._marks: dict[Digest, Mark] = {}

    def open(self, spool: Path) -> None:
        """Take in what an earlier process left; remove everything else in the spool. Blocks."""
        for mark in read_marks(spool)[-MAX_INTERRUPTED:]:
            self._marks[mark.digest] = mark
        kept = {path for mark in self._marks.values() for path in (mark.path, _mark_of(mark.path))}
        for entry in tuple(spool.iterdir()):
            if entry not in kept:
                durable.remove_whatever(entry)

    @property
    def held_bytes(self) -> int:
        """What they take of the disk: their files have all of their room."""
        return sum(mark.size for mark in self._marks.values())

    def take(self, digest: Digest) -> Mark | None:
        """Give what there is of a blob; from here on it is the caller's."""
        return self._marks.pop(digest, None)

    def leave(self, mark: Mark) -> list[Mark]:
        """Keep what there is of a blob; give what has to go for it."""
        before = self._marks.pop(mark.digest, None)
        self._marks[mark.digest] = mark
        too_many = list(self._marks.values())[:-MAX_INTERRUPTED]
        for each in too_many:
            del self._marks[each.digest]
        return [*too_many, *([before] if before is not None else [])]

    def take_all(self) -> list[Mark]:
        """Give all of them up: their room is needed."""
        marks, self._marks = list(self._marks.values()), {}
        return marks


def sync_and_mark(mark: Mark, descriptor_number: int) -> None:
    """Make the first bytes of a growing file durable, then say so. Blocks.

    A mark that can't be written costs nothing but the way back: the file goes on.

    Raises: OSError: the sync failed.
    """
    os.fdatasync(descriptor_number)
    with contextlib.suppress(OSError):
        mark.write()
