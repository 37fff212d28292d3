"""CloudEvents over HTTP: one in the body (structured), one in headers and body (binary), or a list
of them in the body (batched).

Source: CloudEvents 1.0, "HTTP Protocol Binding" 3.1-3.3 and "JSON Event Format".
"""

from collections.abc import Callable
from urllib.parse import unquote

from proxy.events import fields
from proxy.events.fields import JsonObject
from proxy.events.message import Message
from proxy.events.notification import Sender, Source

_PREFIX = "ce-"


def cloud_events(message: Message) -> list[object]:
    """Give the events of a message in the structured form, whatever form they came in."""
    if f"{_PREFIX}specversion" in message.headers:
        return [_binary(message)]
    return message.document if isinstance(message.document, list) else [message.document]


def has_type(is_wanted: Callable[[str], bool]) -> Callable[[Message], bool]:
    """Give the question whether a message has events of types that are wanted."""
    return lambda message: any(is_wanted(type_of(event)) for event in cloud_events(message))


def type_of(event: object) -> str:
    """Give the type of an event; empty if it says none, or is no event of version 1."""
    if isinstance(event, dict) and fields.text(event, "specversion").startswith("1."):
        return fields.text(event, "type")
    return ""


def source_of(sender: Sender, event: JsonObject, message: Message) -> Source:
    """Give the source that the attributes name."""
    time = fields.time(event, "time", message.received)
    return Source(sender, time, fields.identifier(event, "id"))


def _binary(message: Message) -> JsonObject:
    attributes = {
        name.removeprefix(_PREFIX): unquote(value)
        for name, value in message.headers.items()
        if name.startswith(_PREFIX)
    }
    return {**attributes, "data": message.document}
