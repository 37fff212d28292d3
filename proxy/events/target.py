"""The `target` of Distribution's events, which Azure's webhooks have too.

Source: distribution/distribution, notifications/event.go and bridge.go; Azure Container Registry,
webhook reference.
"""

from proxy.events import fields
from proxy.events.event import Event, ManifestDeleted, ManifestPushed, RepositoryDeleted, TagDeleted
from proxy.events.fields import JsonObject, NotUnderstood, object_at
from proxy.events.message import Message
from proxy.events.notification import Sender, Source
from proxy.events.wire import MAX_REFERENCES
from proxy.oci.descriptor import Descriptor
from proxy.oci.manifest import read_descriptor


def source_of(sender: Sender, entry: JsonObject, message: Message) -> Source:
    """Give the source that an entry names around its target."""
    request = object_at(entry, "request")
    return Source(
        sender,
        fields.time(entry, "timestamp", message.received),
        fields.identifier(entry, "id"),
        fields.text(object_at(entry, "actor"), "name"),
        fields.text(request, "id"),
        fields.text(request, "host"),
    )


def pushed(target: JsonObject) -> ManifestPushed:
    """Give the push of a manifest.

    Raises: NotUnderstood.
    """
    tag, digest = fields.tag(target, "tag"), fields.digest(target, "digest")
    if tag is None and digest is None:
        raise NotUnderstood("target: expected a tag or a digest")
    return ManifestPushed(
        fields.repository(target, "repository"),
        tag,
        digest,
        fields.text(target, "mediaType"),
        fields.size_bytes(target, "size", "length"),
        references_of(target),
    )


def deleted(target: JsonObject) -> Event:
    """Give the deletion of a manifest (there is a digest), of a tag (a tag alone) or of a
    repository (neither).

    Raises: NotUnderstood.
    """
    repository = fields.repository(target, "repository")
    tag, digest = fields.tag(target, "tag"), fields.digest(target, "digest")
    if digest is not None:
        return ManifestDeleted(repository, digest, tag)
    return TagDeleted(repository, tag) if tag is not None else RepositoryDeleted(repository)


def references_of(target: JsonObject) -> tuple[Descriptor, ...]:
    """Give the descriptors that the sender copied from the manifest; none of a list too long."""
    entries = fields.list_at(target, "references")
    if len(entries) > MAX_REFERENCES:
        return ()
    found = (read_descriptor(entry) for entry in entries)
    return tuple(
        Descriptor(fields.clean(each.media_type), each.digest, each.size) for each in found if each
    )
