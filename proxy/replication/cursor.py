"""What stands in the hub's log, and the journal that keeps how far we are."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.events.cursor import Cursor, CursorInvalid
from proxy.events.event import Event
from proxy.events.fields import NotUnderstood
from proxy.events.wire import event_from_json
from proxy.oci.reference import Repository, Tag


@dataclass(frozen=True, slots=True)
class Notice:
    """One entry of the log; `received_at` is when the hub received it, in wall-clock seconds.

    `event` is None where it can't be read, as after an update of the hub: the cursor goes past it,
    and what it may have told of is found by a reconcile. It is None, too, where it is for another
    region's replica: then the cursor goes past it, and nothing else.
    """

    cursor: Cursor
    received_at: float
    event: Event | None
    is_for_others: bool = False

    @property
    def is_lost(self) -> bool:
        """Say whether it may have told us of anything."""
        return self.event is None and not self.is_for_others


@dataclass(frozen=True, slots=True)
class Mark:
    """What an event says may have changed: a tag, or without one any tag of the repository."""

    repository: Repository
    tag: Tag | None = None


class Journal(Protocol):
    """Keeps how far the log was followed, with what is to be done about it."""

    async def cursor(self) -> Cursor | None:
        """Give the place behind what was taken last; None: nothing ever was."""
        ...

    async def marks(self) -> Sequence[Mark]:
        """Give the marks of events that haven't been dealt with yet, for a start."""
        ...

    async def accept(self, notices: Sequence[Notice]) -> None:
        """Take *notices*: jobs, marks and cursor in one transaction, durable on return.

        Raises: StoreUnavailable: none was taken, they come again later.
        """
        ...

    async def start_over(self, cursor: Cursor) -> None:
        """Go on behind *cursor* after a gap: what lies before is unknown until a full reconcile.

        Raises: StoreUnavailable: nothing has changed.
        """
        ...


def notice_of(place: str, data: str, region: str = "") -> Notice:
    """Read an entry as the hub sends it to a replica in *region*; all are for one in none.

    Raises: CursorInvalid: *place* names none; nothing can be told about order then.
    """
    cursor = Cursor.parse(place)
    if cursor.seq == 0:
        raise CursorInvalid("nothing stands at the place before the first event")
    try:
        document = json.loads(data)
        received_at = document["received_at"]
        if not isinstance(received_at, int | float) or isinstance(received_at, bool):
            raise TypeError("received_at is no number")
        if region and document.get("only", region) != region:
            return Notice(cursor, float(received_at), None, is_for_others=True)
        return Notice(cursor, float(received_at), event_from_json(document["event"]))
    except (NotUnderstood, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return Notice(cursor, 0.0, None)
