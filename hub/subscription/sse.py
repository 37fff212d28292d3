"""Server-sent events, as the streams have them (HTML standard, 9.2)."""

import json
from collections.abc import Iterable, Mapping

from hub.log.works import Entry

CONTENT_TYPE = "text/event-stream"


def notice(epoch: str, entry: Entry) -> bytes:
    """Give an entry of the log. Its body is JSON on one line already."""
    only = "" if entry.region is None else f'"only":{json.dumps(entry.region)},'
    return (
        f"id: {epoch}:{entry.seq}\nevent: notice\n"
        f'data: {{"received_at":{entry.received_at:.3f},{only}"event":{entry.body}}}\n\n'
    ).encode()


def notices(epoch: str, entries: Iterable[Entry]) -> bytes:
    """Give entries of the log."""
    return b"".join(notice(epoch, entry) for entry in entries)


def named(event: str, data: Mapping[str, object]) -> bytes:
    """Give an event that isn't of the log: it has no id, so that a cursor stays where it is."""
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def heartbeat(head: int) -> bytes:
    """Show that the stream lives, and how far the log has been told."""
    return named("heartbeat", {"head": head})


def retry(seconds: float) -> bytes:
    """Say after which time to come back."""
    return f"retry: {round(seconds * 1000)}\n\n".encode()
