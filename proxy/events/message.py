"""Messages: the body of one request, and the forms in which senders write it."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from proxy.events.fields import JsonObject, NotUnderstood
from proxy.events.notification import Notification, Sender

MAX_BODY_BYTES = 1 << 20
MAX_ENTRIES = 1000


@dataclass(frozen=True, slots=True)
class Message:
    """What one request says, before anything is made of it.

    headers:  their names in lower case.
    document: the body's JSON.
    """

    headers: Mapping[str, str]
    document: object
    received: datetime

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def fields(self) -> JsonObject:
        """The document if it is an object, else an empty one."""
        return self.document if isinstance(self.document, dict) else {}


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a sender writes.

    is_used: says whether a message looks like it.
    entries: gives the parts that are understood or not, each for itself.
    read:    gives what one entry says; nothing if it is to be ignored. Raises: NotUnderstood.
    """

    sender: Sender
    is_used: Callable[[Message], bool]
    entries: Callable[[Message], Sequence[Any]]
    read: Callable[[Any, Message], Iterable[Notification]]


def read_message(headers: Mapping[str, str], body: bytes, received: datetime) -> Message:
    """Read the JSON of a request.

    Raises: NotUnderstood: too large, too many entries, or no JSON.
    """
    if len(body) > MAX_BODY_BYTES:
        raise NotUnderstood(f"more than {MAX_BODY_BYTES} bytes")
    try:
        document = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise NotUnderstood("the body is no JSON document") from exc
    if isinstance(document, list) and len(document) > MAX_ENTRIES:
        raise NotUnderstood(f"more than {MAX_ENTRIES} entries")
    named = {name.lower(): value for name, value in headers.items()}
    return Message(named, document, received.astimezone(UTC))


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
