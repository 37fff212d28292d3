"""Every kind of content a registry holds, byte-exact and the same on each run.

Documents are written with unusual spacing and key order: whoever parses and writes them again
changes their digest.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.layers import Blob, Layer, blob, digest_of, random_layer, tar_layer

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
MANIFEST_TYPES = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, SCHEMA1_SIGNED, SCHEMA1)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index with all it names: what a push sends and a pull brings.

    absent: children that the document names and the registry shall not have.
    """

    data: bytes
    digest: str
    media_type: str
    blobs: tuple[Blob, ...] = ()
    children: tuple["Manifest", ...] = ()
    absent: tuple["Manifest", ...] = ()
    platform: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return f"Manifest({self.digest}, {self.media_type})"

    def document(self) -> Document:
        """Give the parsed bytes."""
        document: Document = json.loads(self.data)
        return document

    def descriptor(self) -> Document:
        described = {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}
        return described | ({"platform": dict(self.platform)} if self.platform else {})

    def all_manifests(self) -> Iterator["Manifest"]:
        """Give this manifest and what is below it, children first."""
        for child in self.children:
            yield from child.all_manifests()
        yield self

    def all_blobs(self) -> Iterator[Blob]:
        """Give every blob named by this manifest or one below it, each once."""
        found = {one.digest: one for each in self.all_manifests() for one in each.blobs}
        yield from found.values()


def manifest_of(
    document: Document,
    media_type: str,
    *,
    blobs: Sequence[Blob] = (),
    children: Sequence[Manifest] = (),
    absent: Sequence[Manifest] = (),
    platform: Mapping[str, str] | None = None,
    algorithm: str = "sha256",
) -> Manifest:
    """Give the manifest whose bytes say *document*."""
    data = json.dumps(document, indent=3, separators=(",", " : ")).encode()
    digest = digest_of(data, algorithm)
    return Manifest(
        data, digest, media_type, tuple(blobs), tuple(children), tuple(absent), platform
    )


def oci_image(
    seed: str = "image",
    *,
    layers: Sequence[Layer] | None = None,
    architecture: str = "amd64",
    subject: Manifest | None = None,
    annotations: Mapping[str, str] | None = None,
    algorithm: str = "sha256",
) -> Manifest:
    """Give an OCI image that runtimes can unpack."""
    parts = small_layers(seed, algorithm) if layers is None else layers
    config = _config(seed, parts, architecture, OCI_CONFIG, algorithm)
    typed = _typed(parts, OCI_LAYER, "+gzip")
    document = _image_document(OCI_MANIFEST, config, typed) | _optional(subject, annotations)
    return _image(document, OCI_MANIFEST, config, typed, architecture, algorithm)


def docker_image(
    seed: str = "image", *, layers: Sequence[Layer] | None = None, architecture: str = "amd64"
) -> Manifest:
    """Give an image in Docker's schema 2."""
    parts = small_layers(seed) if layers is None else layers
    config = _config(seed, parts, architecture, DOCKER_CONFIG, "sha256")
    typed = _typed(parts, DOCKER_LAYER, ".gzip")
    document = _image_document(DOCKER_MANIFEST, config, typed)
    return _image(document, DOCKER_MANIFEST, config, typed, architecture, "sha256")


def oci_artifact(
    seed: str = "artifact",
    *,
    artifact_type: str = "application/vnd.example.sbom.v1+json",
    subject: Manifest | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Give an artifact that isn't an image: an artifact type, an empty config, one file."""
    config = blob(b"{}", OCI_EMPTY)
    content = blob(json.dumps({"about": seed}).encode(), artifact_type)
    document = _image_document(OCI_MANIFEST, config, [content]) | {"artifactType": artifact_type}
    document |= _optional(subject, annotations)
    return manifest_of(document, OCI_MANIFEST, blobs=[config, content])


def oci_index(
    children: Sequence[Manifest],
    *,
    absent: Sequence[Manifest] = (),
    subject: Manifest | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Give an index of *children*; those *absent* are named by it and not there (sparse)."""
    described = [child.descriptor() for child in (*children, *absent)]
    document: Document = {"schemaVersion": 2, "manifests": described, "mediaType": OCI_INDEX}
    document |= _optional(subject, annotations)
    return manifest_of(document, OCI_INDEX, children=children, absent=absent)


def docker_list(children: Sequence[Manifest]) -> Manifest:
    """Give a manifest list in Docker's schema 2."""
    described = [child.descriptor() for child in children]
    document = {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": described}
    return manifest_of(document, DOCKER_LIST, children=children)


def multi_platform(seed: str = "platforms") -> Manifest:
    """Give an OCI index of an image for two platforms."""
    return oci_index(
        [oci_image(f"{seed}-{name}", architecture=name) for name in ("amd64", "arm64")]
    )


def docker_multi_platform(seed: str = "platforms") -> Manifest:
    """Give a manifest list of an image for two platforms."""
    names = ("amd64", "arm64")
    return docker_list([docker_image(f"{seed}-{name}", architecture=name) for name in names])


def nested_index(seed: str = "nested") -> Manifest:
    """Give an index that names another index."""
    return oci_index([oci_image(f"{seed}-outer"), multi_platform(f"{seed}-inner")])


def sparse_index(seed: str = "sparse") -> Manifest:
    """Give an index of which one child is not there."""
    here = oci_image(f"{seed}-here")
    absent = oci_image(f"{seed}-absent", architecture="arm64")
    return oci_index([here], absent=[absent])


def big_image(size: int, layer_count: int = 1, seed: str = "big") -> Manifest:
    """Give an OCI image whose layers are *size* incompressible bytes in sum."""
    each = size // layer_count // 512 * 512
    return oci_image(seed, layers=[random_layer(each, f"{seed}-{i}") for i in range(layer_count)])


def small_layers(seed: str, algorithm: str = "sha256") -> list[Layer]:
    """Give two gzip layers of a few hundred bytes."""
    return [
        tar_layer({f"etc/{seed}": seed.encode() * 20}, algorithm=algorithm),
        tar_layer({f"opt/{seed}/readme": b"read me\n", "opt/empty": b""}, algorithm=algorithm),
    ]


def _typed(layers: Sequence[Layer], media_type: str, compressed: str) -> list[Blob]:
    return [
        Blob(each.data, each.digest, media_type + (compressed if each.is_compressed else ""))
        for each in layers
    ]


def _config(
    seed: str, layers: Sequence[Layer], architecture: str, media_type: str, algorithm: str
) -> Blob:
    document = {
        "created": "2001-09-09T01:46:40Z",
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": ["/bin/sh"], "Labels": {"seed": seed}},
        "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in layers]},
        "history": [{"created_by": f"step {i}"} for i, _ in enumerate(layers)],
    }
    return blob(json.dumps(document).encode(), media_type, algorithm)


def _image_document(media_type: str, config: Blob, layers: Sequence[Blob]) -> Document:
    return {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config.descriptor(),
        "layers": [layer.descriptor() for layer in layers],
    }


def _image(
    document: Document,
    media_type: str,
    config: Blob,
    layers: Sequence[Blob],
    architecture: str,
    algorithm: str,
) -> Manifest:
    platform = {"architecture": architecture, "os": "linux"}
    blobs = [config, *layers]
    return manifest_of(document, media_type, blobs=blobs, platform=platform, algorithm=algorithm)


def _optional(subject: Manifest | None, annotations: Mapping[str, str] | None) -> Document:
    document: Document = {}
    if subject is not None:
        document["subject"] = {k: v for k, v in subject.descriptor().items() if k != "platform"}
    if annotations is not None:
        document["annotations"] = dict(annotations)
    return document
