"""Letters: notifications as they came, kept where they aren't understood, so that they can be read
again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from proxy.events.fields import NotUnderstood, quoted
from proxy.events.notification import Notifications, Sender
from proxy.events.senders import parse

LONG_BYTES = 64 << 10
"""A letter from here on is better read in a thread: it may take longer than others should wait."""
_KEPT_HEADERS = "content-type"
_KEPT_PREFIX = "ce-"  # CloudEvents in binary mode
MAX_HEADER_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class Letter:
    """A notification as it came. sender: as the URL named it; headers: those that parsers read."""

    sender: str
    headers: Mapping[str, str]
    body: bytes


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Give the headers that parsers read, none of which is a secret."""
    return {
        name.lower(): value[:MAX_HEADER_CHARACTERS]
        for name, value in headers.items()
        if name.lower() == _KEPT_HEADERS or name.lower().startswith(_KEPT_PREFIX)
    }


def read_letter(letter: Letter, now: float) -> tuple[Notifications, str]:
    """Give what is understood of a letter, and why the rest isn't; empty: all is.

    now: seconds since 1970, for senders that don't say when it happened.
    """
    try:
        named = Sender(letter.sender) if letter.sender else None
    except ValueError:
        return Notifications(Sender.PLAIN), f"{quoted(letter.sender)} is no sender we know"
    try:
        found = parse(letter.headers, letter.body, datetime.fromtimestamp(now, UTC), named)
    except NotUnderstood as exc:
        return Notifications(named or Sender.PLAIN), exc.reason
    reasons = [f"entry {each.index}: {each.reason}" for each in found.unread]
    return found, "; ".join(reasons)
