"""The ledger of what was there before the replica was: what of it is to be copied, and what was.

Rules:
- It is written in the sidecar, for each tag; a restart goes on where it was. A lost one is planned
  anew: what is here by then costs a look.
- A tag that is here to stay out (`SKIPPED`) is nobody's business until it goes at the primary, so
  that a comparison doesn't take it for one whose event was lost.
- A tag whose job is gone from the journal is done, whatever came of it.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import IntEnum

from proxy.oci.errors import StoreUnavailable
from proxy.oci.reference import Repository, Tag
from proxy.registry.sidecar import Sidecar
from proxy.registry.sqlite_file import Statement
from proxy.replication.work import Kind

WRITE_AT_ONCE = 1_000
_FACT = "backfill"
_REPOSITORY = ""  # stands for the repository itself in the column of tags

_PUT = "INSERT OR IGNORE INTO backfill VALUES (?, ?, ?)"
_SET = "UPDATE backfill SET state = ? WHERE repository = ? AND tag = ?"
_LEAVE = "UPDATE backfill SET state = ? WHERE state = ?"
_SETTLE = """
UPDATE backfill SET state = ? WHERE state = ? AND NOT EXISTS (
    SELECT 1 FROM job WHERE kind = ? AND job.repository = backfill.repository
    AND reference = tag AND is_dead = 0)
"""


class State(IntEnum):
    """What becomes of a tag."""

    SKIPPED = 0
    WAITING = 1
    HANDED = 2
    DONE = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """How far it is, under which policy; *moved_bytes* came over the link for it."""

    policy: str = ""
    is_planned: bool = False
    is_finished: bool = False
    moved_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tags there are in each state that counts."""

    waiting: int = 0
    handed: int = 0
    done: int = 0

    @property
    def total(self) -> int:
        """All that are copied."""
        return self.waiting + self.handed + self.done


class Ledger:
    """Reads and writes it. `open` it first.

    Raises, everywhere: StoreUnavailable: the sidecar can't be used now.
    """

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self.standing = Standing()

    async def open(self) -> None:
        """Read how far it is."""
        text = await self._sidecar.fact(_FACT)
        self.standing = Standing(**json.loads(text)) if text else Standing()

    async def begin(self, policy: str) -> None:
        """Begin anew under a policy."""
        await self._note(Standing(policy), ("DELETE FROM backfill", ()))

    async def note_planned(self) -> None:
        """Note that every repository is planned."""
        await self._note(replace(self.standing, is_planned=True))

    async def note_moved(self, size: int) -> None:
        """Note that so many bytes came."""
        await self._note(replace(self.standing, moved_bytes=self.standing.moved_bytes + size))

    async def note_finished(self) -> None:
        """Note that all is done."""
        await self._note(replace(self.standing, is_finished=True))

    async def _note(self, standing: Standing, *before: Statement) -> None:
        text = json.dumps(asdict(standing))
        fact = ("INSERT OR REPLACE INTO fact VALUES (?, ?)", (_FACT, text))
        await self._write([*before, fact])
        self.standing = standing

    # --- tags -------------------------------------------------------------------------------------

    async def plan(
        self, repository: Repository, wanted: Iterable[Tag], unwanted: Iterable[Tag]
    ) -> None:
        """Note what of a repository is copied and what isn't; what is noted already stays so."""
        rows: list[tuple[str, str, int]]
        rows = [(repository, tag, int(State.WAITING)) for tag in sorted(wanted)]
        rows += [(repository, tag, int(State.SKIPPED)) for tag in sorted(unwanted)]
        rows.append((repository, _REPOSITORY, int(State.SKIPPED)))
        await self._write([(_PUT, row) for row in rows])  # the repository's own comes last

    async def is_planned(self, repository: Repository) -> bool:
        """Say whether a repository is planned."""
        rows = await self._all(
            "SELECT 1 FROM backfill WHERE repository = ? AND tag = ?", repository, _REPOSITORY
        )
        return bool(rows)

    async def left_alone(self, repository: Repository) -> frozenset[Tag]:
        """Give the tags of a repository that only this brings, or nobody."""
        rows = await self._all(
            "SELECT tag FROM backfill WHERE repository = ? AND state != ?",
            repository,
            int(State.DONE),
        )
        return frozenset(Tag(str(row[0])) for row in rows if row[0])

    async def forget(self, repository: Repository, tags: Iterable[Tag]) -> None:
        """Forget tags that are gone at the primary: once they are there again they are new."""
        sql = "DELETE FROM backfill WHERE repository = ? AND tag = ?"
        await self._write([(sql, (repository, tag)) for tag in tags])

    async def waiting(self, most: int) -> list[tuple[Repository, Tag]]:
        """Give tags that are to be copied."""
        rows = await self._all(
            "SELECT repository, tag FROM backfill WHERE state = ? LIMIT ?", int(State.WAITING), most
        )
        return [(Repository(str(repository)), Tag(str(tag))) for repository, tag in rows]

    async def note_handed(self, tags: Iterable[tuple[Repository, Tag]]) -> None:
        """Note that the journal has them."""
        await self._write([(_SET, (int(State.HANDED), *each)) for each in tags])

    async def note_left(self, tags: Iterable[tuple[Repository, Tag]]) -> None:
        """Note that the journal gave tags up for want of room: they stay out."""
        await self._write([(_SET, (int(State.SKIPPED), *each)) for each in tags])

    async def leave_waiting(self) -> None:
        """Note that what is still to be copied stays out."""
        await self._write([(_LEAVE, (int(State.SKIPPED), int(State.WAITING)))])

    async def settle(self) -> int:
        """Note what is done; give how many tags the journal still has."""
        await self._write([(_SETTLE, (int(State.DONE), int(State.HANDED), Kind.TAG))])
        rows = await self._all("SELECT count(*) FROM backfill WHERE state = ?", int(State.HANDED))
        return int(str(rows[0][0]))

    async def counts(self) -> Counts:
        """Give how many tags are in which state."""
        rows = await self._all("SELECT state, count(*) FROM backfill GROUP BY state")
        found = {int(str(state)): int(str(count)) for state, count in rows}
        return Counts(*(found.get(state, 0) for state in (State.WAITING, State.HANDED, State.DONE)))

    async def _all(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        rows = await self._sidecar.all(sql, *values)
        if rows is None:
            raise StoreUnavailable("the ledger can't be read")
        return [tuple(row) for row in rows]

    async def _write(self, batch: list[Statement]) -> None:
        for start in range(0, len(batch), WRITE_AT_ONCE):
            if not await self._sidecar.transact(batch[start : start + WRITE_AT_ONCE]):
                raise StoreUnavailable("the ledger can't be written")
