"""A hub in memory: one log of events, whose clock, epoch and mood the test sets, and a journal."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from proxy.events.cursor import Cursor
from proxy.events.event import Event
from proxy.events.wire import event_to_json
from proxy.net.hub import CursorGone, HubUnavailable
from proxy.net.sse import ServerEvent
from proxy.oci.errors import RegistryError, StoreUnavailable
from proxy.replication.cursor import Mark, Notice
from proxy.replication.marks import mark_of

LEASE_SECONDS = 30.0


def notice_event(
    cursor: Cursor, event: Event, received_at: float = 5.0, only: str = ""
) -> ServerEvent:
    """Give an entry of the log as the hub sends it; only: the region that it is for."""
    whom = {"only": only} if only else {}
    data = json.dumps({"received_at": received_at, **whom, "event": event_to_json(event)})
    return ServerEvent(data, "notice", str(cursor))


@dataclass(slots=True)
class MemoryStream:
    """What a hub sends on one connection: batches, and how it ends."""

    batches_to_send: list[list[ServerEvent]]
    before_end: Callable[[], None]
    error: RegistryError | None = None
    retry_seconds: float | None = None

    async def batches(self) -> AsyncGenerator[list[ServerEvent]]:
        for each in self.batches_to_send:
            yield each
        self.before_end()
        if self.error is not None:
            raise self.error


@dataclass(slots=True)
class MemoryHub:
    """Answers as the contract says; a connection ends once all that there is was sent.

    `error` is raised by every call while it is set; `asked` has what was asked for.
    """

    epoch: str = "one"
    events_logged: list[Event] = field(default_factory=list)
    only: dict[int, str] = field(default_factory=dict)
    floor: int = 0
    error: RegistryError | None = None
    lease_seconds: float = LEASE_SECONDS
    reason: str = ""
    asked: list[str] = field(default_factory=list)
    before_answer: Callable[[], None] = lambda: None
    before_end: Callable[[], None] = lambda: None
    extra: list[ServerEvent] = field(default_factory=list)
    stream_error: RegistryError | None = None
    retry_seconds: float | None = None
    most: int | None = None
    """How many events a connection sends before it ends."""

    @property
    def head(self) -> int:
        return len(self.events_logged)

    def log(self, *events: Event) -> None:
        self.events_logged.extend(events)

    def restart(self, epoch: str) -> None:
        """Come back with another, empty log."""
        self.epoch, self.events_logged, self.floor = epoch, [], 0

    def _answer(self, asked: str) -> None:
        self.asked.append(asked)
        if self.error is not None:
            raise self.error

    async def get(self, target: str) -> dict[str, Any]:
        self._answer(f"GET {target}")
        return {"epoch": self.epoch, "head": self.head}

    async def post(self, target: str, document: Any) -> dict[str, Any]:
        self._answer(f"POST {target} {document.get('cursor')}")
        seconds = 0 if self.reason else self.lease_seconds
        answer = {"epoch": self.epoch, "head": self.head, "lease_seconds": seconds}
        self.before_answer()
        return {**answer, "reason": self.reason} if self.reason else answer

    @asynccontextmanager
    async def events(self, after: str) -> AsyncIterator[MemoryStream]:
        self._answer(f"EVENTS {after}")
        cursor = Cursor.parse(after)
        if cursor.epoch != self.epoch or not self.floor <= cursor.seq <= self.head:
            raise CursorGone
        stop = self.head if self.most is None else min(self.head, cursor.seq + self.most)
        batch = [
            notice_event(
                Cursor(self.epoch, seq), self.events_logged[seq - 1], only=self.only.get(seq, "")
            )
            for seq in range(cursor.seq + 1, stop + 1)
        ]
        batches = [each for each in (batch, self.extra) if each]
        yield MemoryStream(batches, self.before_end, self.stream_error, self.retry_seconds)


@dataclass(slots=True)
class MemoryJournal:
    """Keeps what it takes in order, as one transaction each; fails while `fails` says so."""

    at: Cursor | None = None
    taken: list[Notice] = field(default_factory=list)
    kept: list[Mark] = field(default_factory=list)
    started_over: list[Cursor] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    fails: bool = False

    def _check(self) -> None:
        if self.fails:
            raise StoreUnavailable

    async def cursor(self) -> Cursor | None:
        self._check()
        return self.at

    async def marks(self) -> Sequence[Mark]:
        self._check()
        return tuple(self.kept)

    async def accept(self, notices: Sequence[Notice]) -> None:
        self._check()
        for notice in notices:
            assert self.at is not None
            assert notice.cursor == Cursor(self.at.epoch, self.at.seq + 1), "a gap was taken"
            self.at = notice.cursor
            if notice.event is not None and (mark := mark_of(notice.event)) is not None:
                self.kept.append(mark)
        self.taken.extend(notices)
        self.batches.append(len(notices))

    async def start_over(self, cursor: Cursor) -> None:
        self._check()
        self.at = cursor
        self.started_over.append(cursor)


UNAVAILABLE = HubUnavailable()
