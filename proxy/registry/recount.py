"""The recount: what the tree really holds, looked at behind everything else.

It goes through the tree folder by folder, a 256th of it at a time, compares each with the index and
corrects that; it rests for as long as it worked. Whatever is in use meanwhile, or changes, is left
out: that is accounted for by who changes it.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

from proxy.oci.digest import Algorithm, Digest
from proxy.oci.errors import DigestInvalid
from proxy.registry.room import Room
from proxy.registry.tree import Tree
from proxy.registry.usage import Usage

Found = dict[Digest, tuple[int, int]]


class Recount:
    """Brings the index to what the tree holds."""

    def __init__(self, tree: Tree, room: Room, usage: Usage) -> None:
        self._tree = tree
        self._room = room
        self._usage = usage
        self._changed: set[Digest] = set()
        self._is_running = False

    def note_changed(self, digest: Digest) -> None:
        """Note that somebody else accounts for a content."""
        if self._is_running:
            self._changed.add(digest)

    async def run(self) -> bool:
        """Go through the tree; False if the index couldn't be read all the way.

        Raises: StoreUnavailable: the tree couldn't.
        """
        self._is_running = True
        try:
            return all([await self._count(*part) for part in _parts(self._tree.layout.blobs)])
        finally:
            self._is_running = False
            self._changed.clear()

    async def _count(self, folder: Path, algorithm: Algorithm, first: int) -> bool:
        began_at = time.monotonic()
        self._changed.clear()
        found = await self._tree.run(contents_in, folder, algorithm)
        known = await self._usage.sizes_of(algorithm, first)
        if known is None:
            return False
        new = {digest: each for digest, each in found.items() if digest not in known}
        gone = {digest: size for digest, size in known.items() if digest not in found}
        await self._usage.correct(
            {digest: each for digest, each in new.items() if self._is_settled(digest)},
            {digest: size for digest, size in gone.items() if self._is_settled(digest)},
        )
        self._room.tell_if_high()
        await asyncio.sleep(time.monotonic() - began_at)
        return True

    def _is_settled(self, digest: Digest) -> bool:
        return not (digest in self._changed or self._room.is_in_use(digest))


def _parts(blobs: Path) -> Iterator[tuple[Path, Algorithm, int]]:
    for algorithm in Algorithm:
        for first in range(256):
            yield blobs / algorithm / f"{first:02x}", algorithm, first


def contents_in(folder: Path, algorithm: Algorithm) -> Found:
    """Give size and time of last use of the contents in a folder of the tree. Blocks.

    The file's own times tell of its use as far as its mount notes them.
    """
    found: Found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                _add_content(found, entry, algorithm)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return found


def _add_content(found: Found, entry: os.DirEntry[str], algorithm: Algorithm) -> None:
    try:
        digest = Digest.parse(f"{algorithm}:{entry.name}")
        state = os.stat(f"{entry.path}/data", follow_symlinks=False)  # noqa: PTH116  # thousands
    except (DigestInvalid, FileNotFoundError, NotADirectoryError):
        return
    found[digest] = (state.st_size, max(state.st_atime_ns, state.st_mtime_ns) // 1_000_000)
