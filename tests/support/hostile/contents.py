"""What the upstream holds, in memory."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from tests.support.images import Manifest
from tests.support.layers import Blob, digest_of


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest's bytes under the type they were pushed with."""

    digest: str
    media_type: str
    data: bytes = field(repr=False)

    def document(self) -> dict[str, Any]:
        try:
            document = json.loads(self.data)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}


@dataclass(slots=True)
class Upload:
    """An upload session; *step* is part of its state, which a client has to send back exactly."""

    data: bytearray = field(default_factory=bytearray)
    step: int = 0


@dataclass(slots=True)
class Repository:
    """One repository's manifests, tags, blobs and upload sessions."""

    manifests: dict[str, StoredManifest] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)

    def find(self, reference: str) -> StoredManifest | None:
        """Give the manifest of a tag or digest."""
        return self.manifests.get(self.tags.get(reference, reference))

    def put(self, manifest: StoredManifest, tag: str | None = None) -> None:
        self.manifests[manifest.digest] = manifest
        if tag is not None:
            self.tags[tag] = manifest.digest

    def forget(self, digest: str) -> None:
        """Remove a manifest with the tags that name it."""
        del self.manifests[digest]
        self.tags = {tag: named for tag, named in self.tags.items() if named != digest}

    def referrers(self, subject: str) -> list[dict[str, Any]]:
        """Give descriptors of the manifests whose subject is *subject*."""
        found = [each for each in self.manifests.values() if _subject_of(each) == subject]
        return [_referrer(each) for each in found]


@dataclass(slots=True)
class Contents:
    """All repositories, and objects served outside ``/v2/`` (a storage back end, say)."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)

    def repository(self, name: str) -> Repository:
        """Give a repository, which is made if it isn't there."""
        return self.repositories.setdefault(name, Repository())

    def add(self, name: str, manifest: Manifest, tag: str | None = None) -> Manifest:
        """Put *manifest* with all below it into a repository and give it back."""
        repository = self.repository(name)
        for each in manifest.all_manifests():
            repository.put(StoredManifest(each.digest, each.media_type, each.data))
        for content in manifest.all_blobs():
            repository.blobs[content.digest] = content.data
        if tag is not None:
            repository.tags[tag] = manifest.digest
        return manifest

    def add_blob(self, name: str, content: Blob) -> Blob:
        """Put a blob into a repository and give it back."""
        self.repository(name).blobs[content.digest] = content.data
        return content


def matches(data: bytes, digest: str) -> bool:
    """Tell whether *data* has *digest*; False too if it isn't one of a known algorithm."""
    algorithm, _, _ = digest.partition(":")
    return algorithm in hashlib.algorithms_guaranteed and digest_of(data, algorithm) == digest


def _subject_of(manifest: StoredManifest) -> str | None:
    subject = manifest.document().get("subject")
    return subject.get("digest") if isinstance(subject, dict) else None


def _referrer(manifest: StoredManifest) -> dict[str, Any]:
    document = manifest.document()
    config_type = document.get("config", {}).get("mediaType")
    described = {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.data),
        "artifactType": document.get("artifactType") or config_type,
        "annotations": document.get("annotations"),
    }
    return {key: value for key, value in described.items() if value is not None}
