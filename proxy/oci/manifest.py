"""Manifests: a document's type is a pure function of its bytes.

The same digest must never be served with two types (CVE-2021-41190), so the type comes from the
document: its `mediaType`, else `manifests` means an index, else `config` and `layers` mean an
image manifest. A header that says otherwise, or a document that could be read both ways, is
refused before it is stored.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from proxy.oci.descriptor import Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import DigestInvalid, ManifestInvalid

MAX_MANIFEST_BYTES = 4 << 20

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
SCHEMA1_TYPES = frozenset({DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED})

ACCEPT_ALL = ", ".join(
    (
        OCI_INDEX,
        OCI_MANIFEST,
        OCI_ARTIFACT,
        DOCKER_LIST,
        DOCKER_MANIFEST,
        DOCKER_SCHEMA1_SIGNED,
        DOCKER_SCHEMA1,
    )
)
"""What we accept from the primary: all of it, since some registries convert otherwise."""

_TYPE = re.compile(r"application/vnd\.[A-Za-z0-9.+_-]+\+(?:json|prettyjws)")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest's bytes with the descriptor that was checked against them."""

    descriptor: Descriptor
    data: bytes


def is_manifest_type(media_type: str) -> bool:
    """Say whether *media_type* is one that a manifest may be served with."""
    return _TYPE.fullmatch(media_type) is not None


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise ManifestInvalid("the manifest is not JSON") from exc
    if not isinstance(document, dict):
        raise ManifestInvalid("the manifest is not a JSON object")
    return document


def media_type_of(data: bytes) -> str:
    """Give the type of a manifest's bytes.

    Raises: ManifestInvalid: not JSON, ambiguous, without a recognisable type, or Docker schema 1,
    whose digest isn't the hash of its bytes.
    """
    document = _document(data)
    if document.get("schemaVersion") == 1:
        raise ManifestInvalid("Docker schema 1 is not stored")
    is_index = "manifests" in document
    is_image = "layers" in document or "config" in document
    if is_index and is_image:
        raise ManifestInvalid("the manifest can be read both as an index and as an image")
    declared = document.get("mediaType")
    if declared is not None:
        return _declared_type(declared, is_index=is_index, is_image=is_image)
    if is_index:
        return OCI_INDEX
    if is_image:
        return OCI_MANIFEST
    raise ManifestInvalid("the manifest's type can't be told from its bytes")


def _declared_type(declared: object, *, is_index: bool, is_image: bool) -> str:
    if not isinstance(declared, str) or not is_manifest_type(declared):
        raise ManifestInvalid("the manifest's mediaType is none of a manifest")
    contradicts = is_image if declared in INDEX_TYPES else is_index
    if contradicts:
        raise ManifestInvalid("the manifest's mediaType contradicts its content")
    return declared


def check_manifest(data: bytes, digest: Digest, header_type: str) -> Manifest:
    """Give the manifest if bytes, digest and header agree.

    Raises: DigestInvalid, ManifestInvalid.
    """
    if not digest.matches(data):
        raise DigestInvalid("the manifest's bytes don't have its digest")
    media_type = media_type_of(data)
    if header_type.partition(";")[0].strip() != media_type:
        raise ManifestInvalid("the Content-Type disagrees with the manifest")
    return Manifest(Descriptor(media_type, digest, len(data)), data)


def children_of(data: bytes) -> tuple[Descriptor, ...]:
    """Give the descriptors that a manifest names: an index's manifests, an image's config and
    layers. Entries that are no well-formed descriptors are left out; so is `subject`.
    """
    document = _document(data)
    entries = [document.get("config"), *_list(document, "layers"), *_list(document, "blobs")]
    entries += _list(document, "manifests")
    return tuple(found for entry in entries if (found := _descriptor(entry)) is not None)


def subject_of(data: bytes) -> Digest | None:
    """Give the digest of the manifest that this one refers to, if it does."""
    found = _descriptor(_document(data).get("subject"))
    return found.digest if found else None


def _list(document: dict[str, Any], key: str) -> list[object]:
    value = document.get(key)
    return value if isinstance(value, list) else []


def _descriptor(entry: object) -> Descriptor | None:
    match entry:
        case {"digest": str(digest), "size": int(size), "mediaType": str(media_type)}:
            try:
                return Descriptor(media_type, Digest.parse(digest), size)
            except DigestInvalid:
                return None
        case _:
            return None
