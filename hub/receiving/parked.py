"""Notifications that weren't understood: kept, so that they can be looked at and tried again."""

import json
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, delete, func, insert, select

from hub.database import Database
from hub.schema import parked
from proxy.events.letter import Letter

DROP_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Parked:
    """A letter that wasn't understood, and why."""

    id: int
    received_at: float
    reason: str
    size_bytes: int
    letter: Letter

    def as_document(self) -> dict[str, object]:
        """Give it without what was sent, which may be long; the beginning tells what it is."""
        return {
            "id": self.id,
            "received_at": self.received_at,
            "sender": self.letter.sender,
            "reason": self.reason,
            "size_bytes": self.size_bytes,
            "content_type": self.letter.headers.get("content-type", ""),
            "beginning": self.letter.body[:200].decode("utf-8", "replace"),
        }


class ParkedLetters:
    """The table of them, bounded in number and bytes: the oldest go first."""

    def __init__(self, database: Database, max_letters: int, max_bytes: int) -> None:
        self._database = database
        self._max_letters = max_letters
        self._max_bytes = max_bytes
        self.number = 0

    async def open(self) -> None:
        """Count what is there."""
        self.number = (await self._database.read(_totals))[0]

    async def park(self, letter: Letter, reason: str, received_at: float) -> int:
        """Keep a letter, durable when it returns; give how many older ones went.

        Raises: DatabaseUnavailable.
        """
        row = {
            "received_at": received_at,
            "sender": letter.sender[:32],
            "headers": json.dumps(letter.headers),
            "reason": reason[:256],
            "size_bytes": len(letter.body),
            "body": letter.body,
        }
        work = partial(_park, row=row, max_letters=self._max_letters, max_bytes=self._max_bytes)
        self.number, dropped = await self._database.write(work)
        return dropped

    async def list(self, after: int, limit: int) -> list[Parked]:
        """Give letters by their number, from the one after *after*."""
        return await self._database.read(partial(_list, after=after, limit=limit))

    async def get(self, number: int) -> Parked | None:
        """Give one letter."""
        found = await self.list(number - 1, 1)
        return found[0] if found and found[0].id == number else None

    async def remove(self, number: int) -> bool:
        """Forget a letter; False: there is none."""
        self.number, is_removed = await self._database.write(partial(_remove, number=number))
        return is_removed


def _totals(connection: Connection) -> tuple[int, int]:
    number, size = connection.execute(
        select(func.count(), func.coalesce(func.sum(parked.c.size_bytes), 0)).select_from(parked)
    ).one()
    return number, size


def _park(
    connection: Connection, row: dict[str, object], max_letters: int, max_bytes: int
) -> tuple[int, int]:
    connection.execute(insert(parked), row)
    number, size = _totals(connection)
    dropped = 0
    while number > max_letters or (size > max_bytes and number > 1):
        oldest = connection.execute(
            select(parked.c.id, parked.c.size_bytes).order_by(parked.c.id).limit(DROP_AT_ONCE)
        )
        for letter_id, letter_bytes in oldest:
            if number <= max_letters and (size <= max_bytes or number == 1):
                break
            connection.execute(delete(parked).where(parked.c.id == letter_id))
            number, size, dropped = number - 1, size - letter_bytes, dropped + 1
    return number, dropped


def _list(connection: Connection, after: int, limit: int) -> list[Parked]:
    found = connection.execute(
        select(parked).where(parked.c.id > after).order_by(parked.c.id).limit(limit)
    ).mappings()
    return [
        Parked(
            row["id"],
            row["received_at"],
            row["reason"],
            row["size_bytes"],
            Letter(row["sender"], json.loads(row["headers"]), row["body"]),
        )
        for row in found
    ]


def _remove(connection: Connection, number: int) -> tuple[int, bool]:
    removed = connection.execute(delete(parked).where(parked.c.id == number))
    return _totals(connection)[0], removed.rowcount > 0
