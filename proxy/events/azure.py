"""Azure Container Registry: its webhooks, one event a message.

Charts of the old chart API are no part of the registry API; an image that waits in quarantine is
pushed again when it is let out. A ping is the portal's test.
Source: Azure Container Registry, webhook reference.
"""

from collections.abc import Iterable

from proxy.events.event import Event
from proxy.events.fields import JsonObject, NotUnderstood, object_at, object_of, quoted
from proxy.events.identity import identified
from proxy.events.message import Form, Message
from proxy.events.notification import Notification, Sender
from proxy.events.target import deleted, pushed, source_of

_IGNORED = frozenset({"chart_push", "chart_delete", "quarantine", "ping"})


def _is_used(message: Message) -> bool:
    said = message.fields
    return isinstance(said.get("action"), str) and ("target" in said or said["action"] == "ping")


def _entries(message: Message) -> list[object]:
    return [message.document]


def _read(value: object, message: Message) -> Iterable[Notification]:
    entry = object_of(value, "webhook")
    event = _event(entry.get("action"), object_at(entry, "target"))
    return () if event is None else (identified(source_of(FORM.sender, entry, message), event),)


def _event(action: object, target: JsonObject) -> Event | None:
    match action:
        case "push":
            return pushed(target)
        case "delete":
            return deleted(target)
        case str() if action in _IGNORED:
            return None
        case _:
            raise NotUnderstood(f"action: {quoted(action)} is none that is known")


FORM = Form(Sender.AZURE, _is_used, _entries, _read)
