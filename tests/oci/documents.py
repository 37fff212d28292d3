"""Manifests as documents: one of each kind, small."""

import json
from typing import Any

from proxy.oci.digest import Digest
from proxy.oci.manifest import OCI_ARTIFACT, OCI_MANIFEST

Document = dict[str, Any]

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


def descriptor(text: str, media_type: str = LAYER_TYPE, **more: object) -> Document:
    """Give a descriptor of *text*."""
    digest = Digest.of(text.encode())
    return {"mediaType": media_type, "digest": str(digest), "size": len(text), **more}


CONFIG = descriptor("config", CONFIG_TYPE)
LAYERS = [descriptor("first"), descriptor("second", urls=["https://elsewhere.example.com/x"])]
MANIFESTS = [descriptor("amd64", OCI_MANIFEST, platform={"os": "linux", "architecture": "amd64"})]
IMAGE: Document = {"schemaVersion": 2, "config": CONFIG, "layers": LAYERS}
INDEX: Document = {"schemaVersion": 2, "manifests": MANIFESTS}
ARTIFACT: Document = {"mediaType": OCI_ARTIFACT, "artifactType": "x/y", "blobs": LAYERS}
NEITHER: Document = {"schemaVersion": 2}


def encoded(document: object) -> bytes:
    """Give a document's bytes."""
    return json.dumps(document).encode()


def typed(document: Document, media_type: object) -> Document:
    """Give a document that says its type."""
    return {**document, "mediaType": media_type}
