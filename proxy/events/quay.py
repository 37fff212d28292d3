"""Quay's webhooks: a push names the tags that were set, without digests, ids or a time.

Every other notification (builds, scans, mirrors) has no `updated_tags`. Deletions aren't sent.
Source: quay/quay, notifications/notificationevent.py; Red Hat Quay, "Repository notifications".
"""

from collections.abc import Iterable

from proxy.events import fields
from proxy.events.event import ManifestPushed
from proxy.events.fields import NotUnderstood, object_of
from proxy.events.identity import identified
from proxy.events.message import Form, Message
from proxy.events.notification import Notification, Sender, Source

_TAGS = "updated_tags"


def _is_used(message: Message) -> bool:
    return {"docker_url", "repository", "namespace"} <= message.fields.keys()


def _entries(message: Message) -> list[object]:
    """Give the tags, or None for a message that names none.

    Old versions gave a map of tags to image ids.
    """
    tags = object_of(message.document, "notification").get(_TAGS)
    if tags is None:
        return [None]
    if not isinstance(tags, list | dict):
        raise NotUnderstood(f"{_TAGS}: expected a list")
    return list(tags)


def _read(value: object, message: Message) -> Iterable[Notification]:
    if value is None and _TAGS not in message.fields:
        return ()
    tag = fields.tag({_TAGS: value}, _TAGS)
    if tag is None:
        raise NotUnderstood(f"{_TAGS}: expected tags")
    host = fields.text(message.fields, "docker_url").partition("/")[0]
    source = Source(FORM.sender, message.received, host=host)
    return (
        identified(source, ManifestPushed(fields.repository(message.fields, "repository"), tag)),
    )


FORM = Form(Sender.QUAY, _is_used, _entries, _read)
