"""Which contents are here, how large they are and when a client last pulled each.

Rules:
- The tree is the authority. This is an index over it in the sidecar, in the order of eviction, that
  the recount corrects; what it has in memory doesn't grow with the store.
- Changes gather in memory and leave together, in the order in which they happened; a use is written
  once a digest and minute at most.
- A crash or a lost file costs order alone: the recount finds what is here by looking.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

from proxy.oci.digest import Algorithm, Digest
from proxy.registry.order import ALGORITHMS, Entry, Place, Rank, digest_of, key_of, rank_of
from proxy.registry.sidecar import Sidecar
from proxy.registry.sqlite_file import Row, Statement

MAX_PENDING = 200_000
MAX_SEEN = 200_000
MAX_EVICTED_MARKS = 100_000
WRITE_AT_ONCE = 500

_HIGHEST = b"\xff" * 64
_ADD = """
INSERT INTO content VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE
SET size = excluded.size, rank = rank | excluded.rank, used_at = excluded.used_at
"""
# A pulled rank is that of probation with its lowest bit set.
_USE = "UPDATE content SET rank = rank | 1, used_at = ? WHERE key = ?"
_REMOVE = "DELETE FROM content WHERE key = ?"
_MARK = "INSERT OR REPLACE INTO evicted VALUES (?, ?, ?)"
_UNMARK = "DELETE FROM evicted WHERE key = ?"
_TRIM_MARKS = (
    "DELETE FROM evicted WHERE key IN (SELECT key FROM evicted ORDER BY at DESC LIMIT -1 OFFSET ?)"
)


class _Event(Enum):
    ADDED = auto()
    REMOVED = auto()
    USED = auto()


class _Change(NamedTuple):
    """What happened to a content, and what that is in the index."""

    key: bytes
    event: _Event
    growth: int
    statements: tuple[Statement, ...]


class Usage:
    """The index. `stored_bytes` is what the tree holds, as far as it has been counted."""

    def __init__(self, sidecar: Sidecar, wall: Callable[[], float]) -> None:
        self._sidecar = sidecar
        self._wall = wall
        self._pending: list[_Change] = []
        self._gone: set[bytes] = set()  # what has an entry only since that isn't removed yet
        self._seen: set[Digest] = set()
        self._writing = asyncio.Lock()
        self._is_loaded = False
        self._latest = 0
        self.stored_bytes = 0
        self.stored_contents = 0
        self.lost_changes = 0
        """How many changes were given up, since the sidecar couldn't take them for so long."""

    # --- what happens -----------------------------------------------------------------------------

    def touch(self, digest: Digest) -> bool:
        """Note that a client pulled a content; say whether that is news within this minute."""
        if digest in self._seen:
            return False
        if len(self._seen) >= MAX_SEEN:
            self._seen.clear()
        self._seen.add(digest)
        key = key_of(digest)
        self._note(key, _Event.USED, 0, (_USE, (self._now(), key)))
        return True

    def was_touched(self, digest: Digest) -> bool:
        """Say whether a client pulled it within this minute."""
        return digest in self._seen

    def begin_minute(self) -> None:
        """From now on uses are news again."""
        self._seen.clear()

    def added(self, digest: Digest, size: int, growth: int, *, is_pulled: bool) -> None:
        """Note that the tree has a content now, *growth* bytes more than before."""
        self.stored_bytes += growth
        self.stored_contents += growth == size
        key, rank = key_of(digest), rank_of(size, is_pulled=is_pulled)
        row = (key, size, int(rank), self._now())
        self._note(key, _Event.ADDED, growth, (_ADD, row), (_UNMARK, (key,)))

    def removed(self, digest: Digest, size: int, *, is_evicted: bool = False) -> None:
        """Note that a content of so many bytes left the tree."""
        self.stored_bytes -= size
        self.stored_contents -= 1
        key = key_of(digest)
        marks = ((_MARK, (key, size, self._now())),) if is_evicted else ()
        self._note(key, _Event.REMOVED, -size, (_REMOVE, (key,)), *marks)

    def _now(self) -> int:
        """Give a time that is later than all before, whatever the clock does."""
        self._latest = max(self._latest + 1, int(self._wall() * 1000))
        return self._latest

    def _note(self, key: bytes, event: _Event, growth: int, *statements: Statement) -> None:
        if len(self._pending) >= MAX_PENDING:
            self.lost_changes += 1
            return
        self._pending.append(_Change(key, event, growth, statements))
        if event is _Event.REMOVED:
            self._gone.add(key)
        elif event is _Event.ADDED:
            self._gone.discard(key)

    # --- reading ----------------------------------------------------------------------------------

    async def after(self, place: Place, count: int) -> list[Entry]:
        """Give the next contents in the order of eviction; none also where they can't be read.

        Uses that aren't written yet don't count: `write` before the first of these.
        """
        rows = await self._sidecar.all(
            "SELECT key, size, rank, used_at FROM content WHERE (rank, used_at, key) > (?, ?, ?)"
            " ORDER BY rank, used_at, key LIMIT ?",
            *place,
            count,
        )
        found = map(_entry, rows or ())
        return [entry for entry in found if entry.key not in self._gone]

    async def sizes_of(self, algorithm: Algorithm, first: int) -> dict[Digest, int] | None:
        """Give the contents whose digest begins with that byte; None if they can't be read now."""
        if not await self.write():
            return None
        begin = bytes((ALGORITHMS.index(algorithm), first))
        rows = await self._sidecar.all(
            "SELECT key, size FROM content WHERE key BETWEEN ? AND ?", begin, begin + _HIGHEST
        )
        return None if rows is None else {_digest(row): _number(row[1]) for row in rows}

    async def size_of(self, digest: Digest) -> int | None:
        """Give a content's size, if it has an entry."""
        await self.write()
        rows = await self._sidecar.all("SELECT size FROM content WHERE key = ?", key_of(digest))
        return _number(rows[0][0]) if rows else None

    async def pulled_lately(self, count: int) -> dict[Digest, int]:
        """Give the contents that clients pulled last, with the time, in milliseconds; none where
        that can't be read now.
        """
        await self.write()
        rows = await self._sidecar.all(
            "SELECT key, used_at FROM content WHERE rank IN (?, ?) ORDER BY used_at DESC LIMIT ?",
            int(Rank.PULLED),
            int(Rank.SMALL_PULLED),
            count,
        )
        return {_digest(row): _number(row[1]) for row in rows or ()}

    async def was_evicted(self, digest: Digest) -> bool:
        """Say whether there is a mark that a content was evicted, and hasn't come back since."""
        await self.write()
        return bool(await self._sidecar.all("SELECT 1 FROM evicted WHERE key = ?", key_of(digest)))

    # --- writing ----------------------------------------------------------------------------------

    async def write(self) -> bool:
        """Write what has gathered; False if that can't be done now."""
        async with self._writing:
            if not await self._load():
                return False
            while batch := self._pending[:WRITE_AT_ONCE]:
                statements = [each for change in batch for each in change.statements]
                if any(change.event is _Event.REMOVED for change in batch):
                    statements.append((_TRIM_MARKS, (MAX_EVICTED_MARKS,)))
                if not await self._sidecar.write_all(statements):
                    return False
                del self._pending[: len(batch)]
                self._gone.difference_update(change.key for change in batch)
            return True

    async def _load(self) -> bool:
        """Begin with what an earlier life has counted; before that nothing is written."""
        if self._is_loaded:
            return True
        rows = await self._sidecar.all("SELECT count(*), sum(size), max(used_at) FROM content")
        if rows is None:
            return False
        count, size, newest = (_number(value) for value in rows[0])
        self.stored_contents += count
        self.stored_bytes += size
        self._latest = max(self._latest, newest)
        self._is_loaded = True
        return True

    async def correct(
        self, found: Mapping[Digest, tuple[int, int]], gone: Mapping[Digest, int]
    ) -> None:
        """Bring the index to what a recount saw: *found* have size and time of last use, *gone*
        the size they had.
        """
        batch: list[Statement] = [
            (
                "INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?)",
                (key_of(digest), size, int(rank_of(size, is_pulled=True)), used_at),
            )
            for digest, (size, used_at) in found.items()
        ]
        batch += [(_REMOVE, (key_of(digest),)) for digest in gone]
        if batch and await self._sidecar.write_all(batch):
            self.stored_bytes += sum(size for size, _ in found.values()) - sum(gone.values())
            self.stored_contents += len(found) - len(gone)

    async def settle(self) -> None:
        """Take the sums from the index, after a recount: whatever has drifted is right again."""
        if not await self.write():
            return
        async with self._writing:
            rows = await self._sidecar.all("SELECT count(*), sum(size) FROM content")
            if rows is None:
                return
            count, size = (_number(value) for value in rows[0])
            moves = [change for change in self._pending if change.event is not _Event.USED]
            self.stored_bytes = size + sum(change.growth for change in moves)
            self.stored_contents = count + sum(_step(change) for change in moves)


def _step(change: _Change) -> int:
    return (change.growth > 0) - (change.growth < 0)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _digest(row: Sequence[object]) -> Digest:
    key = row[0]
    if not isinstance(key, bytes):
        raise TypeError("a key of the index is no bytes")
    return digest_of(key)


def _entry(row: Row) -> Entry:
    key, size, rank, used_at = row
    if not isinstance(key, bytes):
        raise TypeError("a key of the index is no bytes")
    return Entry(key, _number(size), _number(rank), _number(used_at))
