"""Our own form, for scripts and for registries that speak no other: see `wire`.

One notification or a list of them. The source and each of its fields may be left out; what it says
of the sender is not believed.
"""

from collections.abc import Iterable

from proxy.events.fields import object_of
from proxy.events.identity import identified
from proxy.events.message import Form, Message
from proxy.events.notification import Notification, Sender
from proxy.events.wire import event_from_json, source_from_json

_KEYS = frozenset({"version", "event"})


def _is_used(message: Message) -> bool:
    return any(isinstance(entry, dict) and entry.keys() >= _KEYS for entry in _entries(message))


def _entries(message: Message) -> list[object]:
    return message.document if isinstance(message.document, list) else [message.document]


def _read(value: object, message: Message) -> Iterable[Notification]:
    entry = object_of(value, "notification")
    event = event_from_json(entry)
    said = object_of(entry.get("source", {}), "source")
    unsaid = {"time": message.received.isoformat()}
    source = source_from_json({**unsaid, **said, "sender": Sender.PLAIN.value})
    return (identified(source, event),)


FORM = Form(Sender.PLAIN, _is_used, _entries, _read)
