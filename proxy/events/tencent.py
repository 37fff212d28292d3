"""Tencent Container Registry's triggers: the tree of Harbor, with types like `pushImage`.

Only that type is documented by name, so the beginning tells. What is deleted is a tag; the manifest
may go with it. Harbor 1 wrote the same.
Source: Tencent Container Registry, "Managing Triggers".
"""

from collections.abc import Iterable

from proxy.events import fields
from proxy.events.event_data import Happening, happenings, resource_of
from proxy.events.fields import NotUnderstood, quoted
from proxy.events.message import Form, Message
from proxy.events.notification import Notification, Sender, Source


def _is_used(message: Message) -> bool:
    said = message.fields
    name = said.get("type")
    return "event_data" in said and isinstance(name, str) and not name.isupper()


def _entries(message: Message) -> list[Happening]:
    said = fields.object_of(message.document, "trigger")
    time = fields.time(said, "occur_at", message.received)
    source = Source(FORM.sender, time, actor=fields.text(said, "operator"))
    return happenings(fields.text(said, "type"), said.get("event_data"), source)


def _read(happening: Happening, _: Message) -> Iterable[Notification]:
    kind = happening.kind.lower()
    if kind.startswith("push"):
        return (resource_of(happening).pushed(),)
    if kind.startswith("delete"):
        return (resource_of(happening).tag_deleted(),)
    if kind.startswith("pull"):
        return ()
    raise NotUnderstood(f"type: {quoted(happening.kind)} is none that is known")


FORM = Form(Sender.TENCENT, _is_used, _entries, _read)
