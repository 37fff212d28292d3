"""The `event_data` of Harbor's notifications, which Tencent's triggers have too.

A message names one repository and a list of resources in it, each with a digest and a tag; of an
artifact without tags the tag is the digest once more. Of several tags only one is named.
Source: goharbor/harbor, src/pkg/notifier/model/event.go and
src/controller/event/handler/webhook/artifact/artifact.go; Tencent Container Registry, "Triggers".
"""

from dataclasses import dataclass, replace

from proxy.events import fields
from proxy.events.event import ManifestDeleted, ManifestPushed, TagDeleted
from proxy.events.fields import NotUnderstood, list_at, object_of
from proxy.events.identity import identified
from proxy.events.message import MAX_ENTRIES
from proxy.events.notification import Notification, Source
from proxy.oci.digest import Digest
from proxy.oci.reference import Repository, Tag

_NAMELESS = "resource: expected a tag or a digest"


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened to one resource, as it was sent."""

    kind: str
    repository: object
    resource: object
    source: Source


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource, understood; what is made of it raises NotUnderstood if it names nothing."""

    repository: Repository
    tag: Tag | None
    digest: Digest | None
    source: Source

    def pushed(self) -> Notification:
        """Give the notification of its push."""
        if self.tag is None and self.digest is None:
            raise NotUnderstood(_NAMELESS)
        return identified(self.source, ManifestPushed(self.repository, self.tag, self.digest))

    def manifest_deleted(self) -> Notification:
        """Give the notification of its deletion, where that means the manifest with its tags."""
        if self.digest is not None:
            event = ManifestDeleted(self.repository, self.digest, self.tag)
            return identified(self.source, event)
        return self.tag_deleted()

    def tag_deleted(self) -> Notification:
        """Give the notification of its deletion, where that means the tag if it has one."""
        if self.tag is not None:
            return identified(self.source, TagDeleted(self.repository, self.tag, self.digest))
        if self.digest is not None:
            return identified(self.source, ManifestDeleted(self.repository, self.digest))
        raise NotUnderstood(_NAMELESS)


def happenings(kind: str, event_data: object, source: Source) -> list[Happening]:
    """Give one happening for each resource; one without a resource if none is named.

    Raises: NotUnderstood: too many.
    """
    data = event_data if isinstance(event_data, dict) else {}
    resources = list_at(data, "resources") or [None]
    if len(resources) > MAX_ENTRIES:
        raise NotUnderstood(f"more than {MAX_ENTRIES} resources")
    repository = data.get("repository")
    return [
        Happening(kind, repository, resource, _numbered(source, place))
        for place, resource in enumerate(resources)
    ]


def resource_of(happening: Happening) -> Resource:
    """Give the resource that something happened to.

    Raises: NotUnderstood.
    """
    repository = fields.repository(object_of(happening.repository, "repository"), "repo_full_name")
    resource = object_of(happening.resource, "resource")
    digest = fields.digest(resource, "digest")
    is_untagged = ":" in fields.text(resource, "tag")
    tag = None if is_untagged else fields.tag(resource, "tag")
    host = fields.text(resource, "resource_url").partition("/")[0]
    return Resource(repository, tag, digest, replace(happening.source, host=host))


def _numbered(source: Source, place: int) -> Source:
    return replace(source, id=f"{source.id}#{place}") if source.id and place else source
