"""A replica's stream, read as a client of server-sent events does."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.hub.place import Place


@dataclass(frozen=True, slots=True)
class Sent:
    """One event of a stream. retry: milliseconds, where it says when to come back."""

    event: str
    id: str
    data: Any
    retry: int | None = None

    @property
    def tag(self) -> str:
        """The tag of a notice."""
        return str(self.data["event"]["tag"])


class Follower:
    """The events of one stream, in order."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self._events = self._read()

    async def next(self, event: str = "notice") -> Sent:
        """Give the next event of a kind; others are passed over."""
        async for sent in self._events:
            if sent.event == event:
                return sent
        raise EOFError("the stream has ended")

    async def notices(self, number: int) -> list[Sent]:
        """Give the next notices."""
        return [await self.next() for _ in range(number)]

    async def rest(self) -> list[Sent]:
        """Give everything up to the end."""
        return [sent async for sent in self._events]

    async def _read(self) -> AsyncIterator[Sent]:
        fields: dict[str, str] = {}
        async for line in self.answer.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
                continue
            data = fields.get("data")
            retry = int(fields["retry"]) if "retry" in fields else None
            yield Sent(
                fields.get("event", ""), fields.get("id", ""), data and json.loads(data), retry
            )
            fields = {}


@asynccontextmanager
async def following(
    place: Place, after: int | str = 0, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Follower]:
    """Follow the log from a cursor for the length of the block."""
    cursor = after if isinstance(after, str) else f"{place.epoch}:{after}"
    async with place.http.get(
        f"{place.url}/v1/events",
        params={"after": cursor},
        headers={"Accept": "text/event-stream", **(headers or place.replica)},
        timeout=aiohttp.ClientTimeout(total=None, sock_read=60),
    ) as answer:
        yield Follower(answer)
