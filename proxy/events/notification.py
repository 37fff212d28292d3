"""Notifications: an event with who says so, and what came of one message."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from proxy.events.event import Event


class Sender(StrEnum):
    """The registries whose notifications are understood; `plain` is our own form."""

    PLAIN = "plain"
    DISTRIBUTION = "distribution"
    HARBOR = "harbor"
    ZOT = "zot"
    TENCENT = "tencent"
    AZURE = "azure"
    QUAY = "quay"


@dataclass(frozen=True, slots=True)
class Source:
    """Who says so. Text that the sender doesn't give is empty.

    time: when it happened, by the sender's clock; when it was received, if the sender doesn't say.
    id:   the same for two notifications of one sender only if they are one sent twice.
    host: the name under which the client spoke to the registry.
    """

    sender: Sender
    time: datetime
    id: str = ""
    actor: str = ""
    request_id: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Notification:
    """One event and its source."""

    source: Source
    event: Event


@dataclass(frozen=True, slots=True)
class Unread:
    """An entry of a message that wasn't understood: its place, from 0, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Notifications:
    """What one message says.

    ignored: entries that were understood and are nothing to act on, such as pulls and scans.
    """

    sender: Sender
    understood: tuple[Notification, ...] = ()
    ignored: int = 0
    unread: tuple[Unread, ...] = ()
