"""zot: CloudEvents, by default in the binary form.

The first part of a type and the source can be set by its operator, so the end of the type tells.
Source: project-zot/zot, pkg/extensions/events.
"""

from collections.abc import Iterable

from proxy.events import fields
from proxy.events.cloudevents import cloud_events, has_type, source_of, type_of
from proxy.events.event import Event, ManifestDeleted, ManifestPushed, TagDeleted
from proxy.events.fields import JsonObject, NotUnderstood, object_at, object_of
from proxy.events.identity import identified
from proxy.events.message import Form, Message
from proxy.events.notification import Notification, Sender
from proxy.oci.digest import Digest
from proxy.oci.reference import Tag

UPDATED = "image.updated"
DELETED = "image.deleted"
_KINDS = frozenset({UPDATED, DELETED, "image.lint_failed", "repository.created"})


def _kind(type_: str) -> str:
    return ".".join(type_.split(".")[-2:])


def _read(value: object, message: Message) -> Iterable[Notification]:
    entry = object_of(value, "event")
    event = _event(_kind(type_of(entry)), object_at(entry, "data"))
    return () if event is None else (identified(source_of(FORM.sender, entry, message), event),)


def _event(kind: str, data: JsonObject) -> Event | None:
    if kind == UPDATED:
        return _pushed(data)
    if kind == DELETED:
        return _deleted(data)
    if kind in _KINDS:
        return None
    raise NotUnderstood("type: none of zot's")


def _pushed(data: JsonObject) -> ManifestPushed:
    tag, digest = _reference(data)
    if tag is None and digest is None:
        raise NotUnderstood("data: expected a reference or a digest")
    repository = fields.repository(data, "name")
    return ManifestPushed(repository, tag, digest, fields.text(data, "mediaType"))


def _deleted(data: JsonObject) -> ManifestDeleted | TagDeleted:
    """Give what was deleted: by a tag, that tag; by a digest, the manifest with all its tags."""
    tag, digest = _reference(data)
    repository = fields.repository(data, "name")
    if tag is not None:
        return TagDeleted(repository, tag, digest)
    if digest is not None:
        return ManifestDeleted(repository, digest)
    raise NotUnderstood("data: expected a reference or a digest")


def _reference(data: JsonObject) -> tuple[Tag | None, Digest | None]:
    """Give the tag and the digest; under `reference` stands either."""
    digest = fields.digest(data, "digest")
    if ":" in fields.text(data, "reference"):
        return None, fields.digest(data, "reference")
    return fields.tag(data, "reference"), digest


FORM = Form(Sender.ZOT, has_type(lambda type_: _kind(type_) in _KINDS), cloud_events, _read)
