"""Manifests: a document's type is a pure function of its bytes.

The same digest must never be served with two types (CVE-2021-41190), so the type comes from the
document: its `mediaType`, else `manifests` means an index, else `config` and `layers` mean an
image manifest. A header that says otherwise, or a document that could be read both ways, is
refused before it is stored: one with a key that stands twice, of which readers take the first or
the last, or with one of those keys in another case, which Go's decoder takes for the same.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from proxy.oci.descriptor import Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import DigestInvalid, ManifestInvalid

MAX_MANIFEST_BYTES = 4 << 20
MAX_STRUCTURES = 100_000
"""Objects and lists in a manifest: 4 MiB of empty ones would keep the loop busy for a second."""

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

_TELLING_KEYS = frozenset({"schemaVersion", "mediaType", "manifests", "layers", "config"})
_FOLDED_KEYS = frozenset(map(str.casefold, _TELLING_KEYS))
_MAX_SIZE = 2**63 - 1
_TYPE = re.compile(r"application/vnd\.[A-Za-z0-9.+_-]+\+(?:json|prettyjws)")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest's bytes with the descriptor that was checked against them."""

    descriptor: Descriptor
    data: bytes


def is_manifest_type(media_type: str) -> bool:
    """Say whether *media_type* is one that a manifest may be served with."""
    return _TYPE.fullmatch(media_type) is not None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)


def document_of(data: bytes) -> dict[str, Any]:
    """Give a manifest's JSON object.

    Raises: ManifestInvalid: it is none, has too many parts or can be read in two ways.
    """
    if data.count(b"{") + data.count(b"[") > MAX_STRUCTURES:
        raise ManifestInvalid("the manifest has too many parts")
    try:
        document = _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as exc:
        raise ManifestInvalid("the manifest is not JSON, or can be read in two ways") from exc
    if not isinstance(document, dict):
        raise ManifestInvalid("the manifest is not a JSON object")
    return document


def media_type_of(data: bytes) -> str:
    """Give the type of a manifest's bytes.

    Raises: ManifestInvalid: not JSON, ambiguous, without a recognisable type, or Docker schema 1,
    whose digest isn't the hash of its bytes.
    """
    document = document_of(data)
    if any(key.casefold() in _FOLDED_KEYS for key in document.keys() - _TELLING_KEYS):
        raise ManifestInvalid("the manifest has one of its keys in another case")
    if document.get("schemaVersion") == 1:
        raise ManifestInvalid("Docker schema 1 is not stored")
    is_index = "manifests" in document
    is_image = "layers" in document or "config" in document
    if is_index and is_image:
        raise ManifestInvalid("the manifest can be read both as an index and as an image")
    declared = document.get("mediaType")
    if declared not in (None, ""):
        return _declared_type(declared, is_index=is_index, is_image=is_image)
    if is_index:
        return OCI_INDEX
    if is_image:
        return OCI_MANIFEST
    raise ManifestInvalid("the manifest's type can't be told from its bytes")


def _declared_type(declared: object, *, is_index: bool, is_image: bool) -> str:
    if not isinstance(declared, str) or not is_manifest_type(declared):
        raise ManifestInvalid("the manifest's mediaType is none of a manifest")
    if declared in SCHEMA1_TYPES:
        raise ManifestInvalid("Docker schema 1 is not stored")
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
    document = document_of(data)
    entries = [document.get("config"), *_list(document, "layers"), *_list(document, "blobs")]
    entries += _list(document, "manifests")
    return tuple(found for entry in entries if (found := read_descriptor(entry)) is not None)


def subject_of(data: bytes) -> Digest | None:
    """Give the digest of the manifest that this one refers to, if it does."""
    found = read_descriptor(document_of(data).get("subject"))
    return found.digest if found else None


def _list(document: dict[str, Any], key: str) -> list[object]:
    value = document.get(key)
    return value if isinstance(value, list) else []


def read_descriptor(entry: object) -> Descriptor | None:
    """Give the descriptor that a part of a document is, None if it is no well-formed one."""
    match entry:
        case {"digest": str(digest), "size": int(size), "mediaType": str(media_type)}:
            if isinstance(size, bool) or not 0 <= size <= _MAX_SIZE:
                return None
            try:
                return Descriptor(media_type, Digest.parse(digest), size)
            except DigestInvalid:
                return None
        case _:
            return None
