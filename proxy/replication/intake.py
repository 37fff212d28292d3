"""Notices on their way from the hub's log to the journal, in order and without gaps.

Rules:
- Marks are made before the journal takes the notices, and the lease hears of the cursor after: at
  every moment in between more is doubted than has to be.
- A notice that was taken before is passed over. Where one is missing, or the log is another one,
  nothing is known of what lies between: the journal starts over behind it.
- After a failure the place is what the journal says, not what was sent to it.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from proxy.events.cursor import Cursor
from proxy.replication.cursor import Journal, Notice
from proxy.replication.lease import Lease
from proxy.replication.marks import Marks, mark_of
from proxy.replication.told import Told
from proxy.telemetry.logs import EventLog


class Intake:
    """Takes notices. *on_events* is called once their effects on tags are known of."""

    def __init__(
        self,
        journal: Journal,
        marks: Marks,
        lease: Lease,
        on_events: Callable[[], Awaitable[None]],
        log: EventLog,
        told: Told | None = None,
    ) -> None:
        self._journal = journal
        self._marks = marks
        self._lease = lease
        self._on_events = on_events
        self._log = log
        self._told = told or Told()
        self.cursor: Cursor | None = None
        """The place behind what was taken."""

    @property
    def region(self) -> str:
        """Where this is to the hub, for notices that are for one replica alone."""
        return self._told.region

    async def resume(self) -> Cursor | None:
        """Give the place to go on from; None: there is none yet.

        Raises: StoreUnavailable.
        """
        self.cursor = await self._journal.cursor()
        if self.cursor is not None:
            self._lease.follow(self.cursor)
        return self.cursor

    async def start_over(self, cursor: Cursor, reason: str) -> None:
        """Go on behind *cursor*, a place the hub named; what lies before may have been missed.

        Raises: StoreUnavailable.
        """
        self._log.warning("subscription.started_over", reason=reason, cursor=str(cursor))
        self._lease.end(reason)
        self._marks.start_over()
        await self._journal.start_over(cursor)
        self.cursor = cursor
        self._lease.follow(cursor)
        await self._on_events()

    async def take(self, notices: Iterable[Notice]) -> None:
        """Take what came.

        Raises: StoreUnavailable: how much was taken, the journal knows.
        """
        at, batch = self.cursor, list[Notice]()
        for notice in notices:
            cursor = notice.cursor
            if at is not None and at.has_reached(cursor):
                continue
            if at is None or (at.epoch, at.seq + 1) != (cursor.epoch, cursor.seq):
                await self._accept(batch)
                batch = []
                await self.start_over(Cursor.of(cursor.epoch, cursor.seq - 1), "a gap in the log")
            batch.append(notice)
            at = cursor
        await self._accept(batch)

    async def _accept(self, batch: Sequence[Notice]) -> None:
        if not batch:
            return
        marks = [mark_of(each.event) for each in batch if each.event is not None]
        self._marks.add(mark for mark in marks if mark is not None)
        await self._journal.accept(batch)
        self.cursor = batch[-1].cursor
        self._lease.follow(self.cursor)
        await self._on_events()
        if any(each.is_lost for each in batch):  # it may have told of anything
            await self.start_over(self.cursor, "an event can't be read: is this version too old?")
