"""The JSON form of a notification: in the hub's log, on the way to replicas, and for scripts.

    {"version": 1, "event": "manifest.pushed", "repository": "shop/api", "tag": "1.4.2",
     "source": {"sender": "plain", "id": "build-77", "time": "2024-05-01T10:11:12Z"}}

Reading is strict: a key that isn't known, or a value that isn't of its kind, is refused, so that a
slip of the pen doesn't pass for an event without that field. Whatever is absent is left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from datetime import datetime
from typing import Any

from proxy.events import fields as foreign
from proxy.events.event import (
    BlobPushed,
    Event,
    ManifestDeleted,
    ManifestPushed,
    RepositoryDeleted,
    TagDeleted,
)
from proxy.events.fields import JsonObject, NotUnderstood, object_of, quoted
from proxy.events.notification import Notification, Sender, Source
from proxy.oci.descriptor import Descriptor
from proxy.oci.digest import Digest
from proxy.oci.manifest import read_descriptor

VERSION = 1
MAX_REFERENCES = 256

EVENTS: Mapping[str, type[Event]] = {
    "manifest.pushed": ManifestPushed,
    "blob.pushed": BlobPushed,
    "manifest.deleted": ManifestDeleted,
    "tag.deleted": TagDeleted,
    "repository.deleted": RepositoryDeleted,
}
_NAMES = {kind: name for name, kind in EVENTS.items()}


def to_json(notification: Notification) -> dict[str, Any]:
    """Give what `from_json` reads."""
    return {**event_to_json(notification.event), "source": _plain(notification.source)}


def event_to_json(event: Event) -> dict[str, Any]:
    """Give an event alone, as `event_from_json` reads it."""
    return {"version": VERSION, "event": _NAMES[type(event)], **_plain(event)}


def from_json(document: object) -> Notification:
    """Read a notification.

    Raises: NotUnderstood.
    """
    found = object_of(document, "notification")
    source = source_from_json(found.get("source"))
    if not source.id:
        raise NotUnderstood("id: expected a value")
    return Notification(source, event_from_json(found))


def event_from_json(document: JsonObject) -> Event:
    """Read the event of a notification; what stands under `source` isn't looked at.

    Raises: NotUnderstood.
    """
    if foreign.whole_number(document.get("version")) != VERSION:
        raise NotUnderstood(f"version: expected {VERSION}")
    name = document.get("event")
    kind = EVENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise NotUnderstood(f"event: {quoted(name)} is none of {', '.join(EVENTS)}")
    event: Event = _read(kind, document, frozenset({"version", "event", "source"}))
    if isinstance(event, ManifestPushed) and event.tag is None and event.digest is None:
        raise NotUnderstood("manifest.pushed: expected a tag, a digest or both")
    return event


def source_from_json(document: object) -> Source:
    """Read the source of a notification, whether it has an id or not.

    Raises: NotUnderstood.
    """
    source: Source = _read(Source, object_of(document, "source"), frozenset())
    return source


def _plain(value: Event | Source) -> dict[str, Any]:
    """Give the fields of *value* that say something."""
    pairs = ((each.name, getattr(value, each.name)) for each in fields(value))
    return {name: _json(found) for name, found in pairs if found not in (None, "", ())}


def _json(value: object) -> object:
    match value:
        case Digest():
            return str(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case tuple():
            return [_json(each) for each in value]
        case Descriptor():
            return {
                "mediaType": value.media_type,
                "digest": str(value.digest),
                "size": value.size,
            }
        case str():
            return str(value)
        case _:
            return value


def _read(kind: type[Any], document: JsonObject, others: frozenset[str]) -> Any:
    wanted = {each.name: each for each in fields(kind)}
    for key in document.keys() - wanted.keys() - others:
        raise NotUnderstood(f"{quoted(key)} is no field of it")
    return kind(**{name: _value(document, each) for name, each in wanted.items()})


def _value(document: JsonObject, wanted: "Field[Any]") -> object:
    value = document.get(wanted.name)
    if value is not None and value != "":
        return _READERS[wanted.name](document, wanted.name)
    if wanted.default is MISSING:
        raise NotUnderstood(f"{wanted.name}: expected a value")
    return wanted.default


def _text(document: JsonObject, key: str) -> str:
    value = document[key]
    if not isinstance(value, str) or value != foreign.clean(value):
        limit = foreign.MAX_TEXT_CHARACTERS
        raise NotUnderstood(f"{key}: expected printable text of at most {limit} characters")
    return value


def _size(document: JsonObject, key: str) -> int:
    size = foreign.whole_number(document[key])
    if size is None:
        raise NotUnderstood(f"{key}: expected a number of bytes")
    return size


def _time(document: JsonObject, key: str) -> datetime:
    try:
        return foreign.instant(_text(document, key))
    except (ValueError, OverflowError) as exc:
        raise NotUnderstood(f"{key}: expected a date and time (RFC 3339)") from exc


def _sender(document: JsonObject, key: str) -> Sender:
    try:
        return Sender(_text(document, key))
    except ValueError as exc:
        raise NotUnderstood(f"{key}: expected one of {', '.join(Sender)}") from exc


def _references(document: JsonObject, key: str) -> tuple[Descriptor, ...]:
    values = document[key]
    if not isinstance(values, list) or len(values) > MAX_REFERENCES:
        raise NotUnderstood(f"{key}: expected a list of at most {MAX_REFERENCES} descriptors")
    return tuple(_descriptor(value, key) for value in values)


def _descriptor(value: object, key: str) -> Descriptor:
    found = read_descriptor(value)
    if found is None or found.media_type != foreign.clean(found.media_type):
        raise NotUnderstood(f"{key}: expected descriptors (mediaType, digest, size)")
    return found


_READERS: Mapping[str, Callable[[JsonObject, str], object]] = {
    "repository": foreign.repository,
    "tag": foreign.tag,
    "digest": foreign.digest,
    "media_type": _text,
    "size_bytes": _size,
    "references": _references,
    "mounted_from": foreign.repository,
    "sender": _sender,
    "id": _text,
    "time": _time,
    "actor": _text,
    "request_id": _text,
    "host": _text,
}
