"""CNCF Distribution and its forks (GitLab's registry, docker-registry): envelopes of events.

Envelopes of version 1 (Distribution 2) and 2 (Distribution 3) are read alike. Pushes of blobs and
of manifests are one action, and so are three kinds of deletion: see `target`.
Source: distribution/distribution, notifications/event.go, bridge.go and http.go; recorded.
"""

from collections.abc import Iterable

from proxy.events import fields
from proxy.events.event import BlobPushed, Event
from proxy.events.fields import JsonObject, NotUnderstood, object_at, object_of, quoted
from proxy.events.identity import identified
from proxy.events.message import Form, Message
from proxy.events.notification import Notification, Sender
from proxy.events.target import deleted, pushed, source_of
from proxy.oci.manifest import ACCEPT_ALL

ENVELOPES = "application/vnd.docker.distribution.events."
_MANIFEST_TYPES = frozenset(ACCEPT_ALL.split(", "))


def _is_used(message: Message) -> bool:
    is_typed = message.content_type.startswith(ENVELOPES)
    return is_typed or isinstance(message.fields.get("events"), list)


def _entries(message: Message) -> list[object]:
    envelope = object_of(message.document, "envelope")
    events = envelope.get("events", [])  # one without events is written without the list
    if not isinstance(events, list):
        raise NotUnderstood("events: expected a list")
    return events


def _read(value: object, message: Message) -> Iterable[Notification]:
    entry = object_of(value, "event")
    event = _event(entry.get("action"), object_at(entry, "target"))
    return () if event is None else (identified(source_of(FORM.sender, entry, message), event),)


def _event(action: object, target: JsonObject) -> Event | None:
    match action:
        case "push":
            return pushed(target) if _is_manifest(target) else _blob(target)
        case "mount":
            return _blob(target)
        case "delete":
            return deleted(target)
        case "pull":
            return None
        case _:
            raise NotUnderstood(f"action: {quoted(action)} is none that is known")


def _is_manifest(target: JsonObject) -> bool:
    """Say whether a manifest was pushed: by its type or tag; of types yet to come, by its URL."""
    url = target.get("url")
    has_path = isinstance(url, str) and "/manifests/" in url
    is_typed = fields.text(target, "mediaType") in _MANIFEST_TYPES
    return is_typed or has_path or bool(target.get("tag"))


def _blob(target: JsonObject) -> BlobPushed:
    digest = fields.digest(target, "digest")
    if digest is None:
        raise NotUnderstood("target: expected a digest")
    has_origin = bool(target.get("fromRepository"))
    return BlobPushed(
        fields.repository(target, "repository"),
        digest,
        fields.text(target, "mediaType"),
        fields.size_bytes(target, "size", "length"),
        fields.repository(target, "fromRepository") if has_origin else None,
    )


FORM = Form(Sender.DISTRIBUTION, _is_used, _entries, _read)
