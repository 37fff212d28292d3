"""Harbor's webhooks, in both forms that it offers for HTTP: Default and CloudEvents.

A deleted artifact is a deleted manifest, whatever its tags. A tag that is set without a push is
reported by new versions only (`CREATE_TAG`); one that is deleted without its artifact by none.
Source: goharbor/harbor, src/pkg/notifier/formats/default.go and cloudevents.go.
"""

from collections.abc import Iterable
from dataclasses import replace

from proxy.events import fields
from proxy.events.cloudevents import cloud_events, has_type, source_of, type_of
from proxy.events.event_data import Happening, happenings, resource_of
from proxy.events.fields import NotUnderstood, quoted
from proxy.events.message import MAX_ENTRIES, Form, Message
from proxy.events.notification import Notification, Sender, Source

_CLOUD_TYPES = "harbor."
_PUSHED = frozenset({"PUSH_ARTIFACT", "CREATE_TAG", "harbor.artifact.pushed", "harbor.tag.created"})
_DELETED = frozenset({"DELETE_ARTIFACT", "harbor.artifact.deleted"})
_IGNORED = (
    "PULL_",
    "SCANNING_",
    "QUOTA_",
    "REPLICATION",
    "TAG_RETENTION",
    "ARTIFACT_LABELED",
    "UPLOAD_CHART",
    "DOWNLOAD_CHART",
    "DELETE_CHART",
    "harbor.artifact.pulled",
    "harbor.scan.",
    "harbor.quota.",
    "harbor.replication.",
    "harbor.tag_retention.",
)


def _is_default(message: Message) -> bool:
    said = message.fields
    return (
        "event_data" in said and isinstance(said.get("type"), str) and str(said["type"]).isupper()
    )


def _default(message: Message) -> list[Happening]:
    said = fields.object_of(message.document, "webhook")
    time = fields.time(said, "occur_at", message.received)
    source = Source(Sender.HARBOR, time, actor=fields.text(said, "operator"))
    return happenings(fields.text(said, "type"), said.get("event_data"), source)


def _cloud_events(message: Message) -> list[Happening]:
    found: list[Happening] = []
    for value in cloud_events(message):
        found += _of_cloud_event(value, message)
        if len(found) > MAX_ENTRIES:
            raise NotUnderstood(f"more than {MAX_ENTRIES} resources")
    return found


def _of_cloud_event(value: object, message: Message) -> list[Happening]:
    event = value if isinstance(value, dict) else {}
    actor, request = fields.text(event, "operator"), fields.text(event, "requestid")
    source = replace(source_of(Sender.HARBOR, event, message), actor=actor, request_id=request)
    return happenings(type_of(event), event.get("data"), source)


def _read(happening: Happening, _: Message) -> Iterable[Notification]:
    kind = happening.kind
    if kind in _PUSHED:
        return (resource_of(happening).pushed(),)
    if kind in _DELETED:
        return (resource_of(happening).manifest_deleted(),)
    if kind.startswith(_IGNORED):
        return ()
    raise NotUnderstood(f"type: {quoted(kind)} is none that is known")


DEFAULT = Form(Sender.HARBOR, _is_default, _default, _read)
CLOUD_EVENTS = Form(
    Sender.HARBOR, has_type(lambda name: name.startswith(_CLOUD_TYPES)), _cloud_events, _read
)
