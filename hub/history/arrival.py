"""Whether an artifact is complete in a region, from what the region's replica has said of it."""

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from hub.errors import NotFound
from hub.history import works
from hub.history.forms import Entry, EntryState, RegionState, What
from hub.instances.forms import ReplicaView
from hub.instances.state import OVER
from hub.schema import events
from proxy.events.event import Event, ManifestPushed, RepositoryDeleted, TagDeleted
from proxy.events.wire import from_json
from proxy.oci.digest import Digest
from proxy.oci.reference import Reference

MAX_EVENTS = 1_000
_CONCLUSIVE = (EntryState.COMPLETE, EntryState.EVICTED)


def arrival(view: ReplicaView, entries: Iterable[Entry]) -> RegionState:
    """Give how an artifact stands at a replica. entries: of all regions, the last change first.

    What once was complete stays so until it is evicted or deleted: an entry that merely failed or
    waits since then is another copy of what is there.
    """
    own = [entry for entry in entries if entry.region == view.region and entry.replica == view.id]
    conclusive = next(filter(_is_conclusive, own), None)
    is_complete = (
        conclusive is not None
        and conclusive.state is EntryState.COMPLETE
        and conclusive.what is not What.DELETION
    )
    return RegionState(view.region, view.id, view.state, own[0].state if own else None, is_complete)


def _is_conclusive(entry: Entry) -> bool:
    """Say whether an entry tells if its content is there: a tag's deletion leaves it alone."""
    is_of_tag = entry.what is What.DELETION and entry.tag is not None
    return entry.state in _CONCLUSIVE and not is_of_tag


def resolve(connection: Connection, repository: str, reference: Reference) -> str:
    """Give the digest that a reference names: of a tag by the newest event, else by the newest
    entry of a replica.

    Raises: NotFound: neither says anything of it, or the tag was deleted.
    """
    if isinstance(reference, Digest):
        return str(reference)
    found, is_told = _newest_event(connection, repository, reference)
    if not is_told:
        found = works.newest_of_tag(connection, repository, reference)
    if found is None:
        raise NotFound(f"no event and no replica says what {repository}:{reference} is now")
    return found


def _newest_event(connection: Connection, repository: str, tag: str) -> tuple[str | None, bool]:
    """Give the digest that the newest event about a tag names, and whether there is one.

    Newest is what happened last: a replay puts old events at the end of the log.
    """
    wanted = select(events.c.body).where(events.c.repository == repository)
    newest = wanted.order_by(events.c.seq.desc()).limit(MAX_EVENTS)
    told = [from_json(json.loads(body)) for body in connection.execute(newest).scalars()]
    about = [each for each in told if _is_about(each.event, tag)]
    if not about:
        return None, False
    last = max(about, key=lambda each: each.source.time).event
    return str(last.digest) if isinstance(last, ManifestPushed) else None, True


def _is_about(event: Event, tag: str) -> bool:
    match event:
        case ManifestPushed():
            return event.tag == tag and event.digest is not None
        case TagDeleted():
            return event.tag == tag
        case RepositoryDeleted():
            return True
    return False


def chosen(views: Sequence[ReplicaView], region: str) -> tuple[ReplicaView, ...]:
    """Give the replicas of a region, or of all of them that aren't on their way out.

    Raises: NotFound: there is none.
    """
    found = [each for each in views if each.state not in OVER and region in ("all", each.region)]
    if not found:
        raise NotFound("there is no replica" if region == "all" else f"{region} has no replica")
    return tuple(found)
