"""Artifacts: what a manifest is of, told from its types alone, for people and their statistics."""

from enum import StrEnum
from typing import Any

from proxy.oci.errors import ManifestInvalid
from proxy.oci.manifest import INDEX_TYPES, document_of, media_type_of


class ArtifactKind(StrEnum):
    """What people call it."""

    IMAGE = "image"
    INDEX = "index"
    CHART = "chart"
    SIGNATURE = "signature"
    SBOM = "sbom"
    ATTESTATION = "attestation"
    ARTIFACT = "artifact"


_BY_WORD = (
    ("cncf.helm", ArtifactKind.CHART),
    ("simplesigning", ArtifactKind.SIGNATURE),
    ("notary.signature", ArtifactKind.SIGNATURE),
    ("sigstore.bundle", ArtifactKind.SIGNATURE),
    ("spdx", ArtifactKind.SBOM),
    ("cyclonedx", ArtifactKind.SBOM),
    ("syft", ArtifactKind.SBOM),
    ("in-toto", ArtifactKind.ATTESTATION),
    ("dsse.envelope", ArtifactKind.ATTESTATION),
    ("oci.image.config", ArtifactKind.IMAGE),
    ("docker.container.image", ArtifactKind.IMAGE),
)


def artifact_kind(data: bytes) -> ArtifactKind:
    """Give what a manifest is of.

    Its own `artifactType` counts before the types of its layers, these before its config's: an
    attestation of BuildKit has an image's config.
    """
    try:
        if media_type_of(data) in INDEX_TYPES:
            return ArtifactKind.INDEX
        document = document_of(data)
    except ManifestInvalid:
        return ArtifactKind.ARTIFACT
    for media_type in _types(document):
        for word, kind in _BY_WORD:
            if word in media_type:
                return kind
    return ArtifactKind.ARTIFACT


def _types(document: dict[str, Any]) -> list[str]:
    layers = document.get("layers")
    parts = [*(layers if isinstance(layers, list) else []), document.get("config")]
    of_parts = [part.get("mediaType") for part in parts if isinstance(part, dict)]
    return [each for each in (document.get("artifactType"), *of_parts) if isinstance(each, str)]
