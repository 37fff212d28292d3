"""The table of senders, and the one way through it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from proxy.events import azure, distribution, harbor, plain, quay, tencent, zot
from proxy.events.fields import NotUnderstood
from proxy.events.message import MAX_ENTRIES, Form, Message, read_message
from proxy.events.notification import Notification, Notifications, Sender, Unread

FORMS = (
    plain.FORM,
    distribution.FORM,
    harbor.CLOUD_EVENTS,
    zot.FORM,
    harbor.DEFAULT,
    tencent.FORM,
    azure.FORM,
    quay.FORM,
)
"""In the order in which they are tried; the first that a message looks like is taken."""


def parse(
    headers: Mapping[str, str], body: bytes, received: datetime, sender: Sender | None = None
) -> Notifications:
    """Give what a request says. What isn't understood of it stands beside the rest.

    received: when it came, for senders that don't say when it happened; with a zone.
    sender:   who sent it, where that is known; found out by content type and shape otherwise.
    Raises:   NotUnderstood: no JSON, of no known form, or more than we take.
    """
    message = read_message(headers, body, received)
    form = _form_of(message, sender)
    entries = form.entries(message)
    if len(entries) > MAX_ENTRIES:
        raise NotUnderstood(f"more than {MAX_ENTRIES} entries")
    return _read_all(form, entries, message)


def _form_of(message: Message, sender: Sender | None) -> Form:
    forms = [form for form in FORMS if sender in (None, form.sender)]
    used = next((form for form in forms if form.is_used(message)), None)
    if used is not None:
        return used
    if sender is None or len(forms) > 1:
        raise NotUnderstood(f"no form of {sender or 'any sender'}")
    return forms[0]


def _read_all(form: Form, entries: Any, message: Message) -> Notifications:
    understood: list[Notification] = []
    unread: list[Unread] = []
    ignored = 0
    for index, entry in enumerate(entries):
        try:
            found = tuple(form.read(entry, message))
        except NotUnderstood as exc:
            unread.append(Unread(index, exc.reason))
            continue
        understood += found
        ignored += not found
    return Notifications(form.sender, tuple(understood), ignored, tuple(unread))
