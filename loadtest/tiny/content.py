"""What a tiny registry holds: images of a few bytes, and large blobs that share their bytes."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from loadtest.image import CONFIG_TYPE, INDEX_TYPE, LAYER_TYPE, MANIFEST_TYPE

_PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest or blob: *shared* bytes, then its *own*."""

    media_type: str
    own: bytes
    shared: bytes = b""

    @property
    def size_bytes(self) -> int:
        """Its length."""
        return len(self.shared) + len(self.own)

    def slices(self, start: int, end: int) -> Iterator[bytes | memoryview]:
        """Give the bytes from *start* to before *end* in pieces, without copying them."""
        edge = len(self.shared)
        shared = memoryview(self.shared)[start : min(end, edge)]
        for offset in range(0, len(shared), _PIECE_BYTES):
            yield shared[offset : offset + _PIECE_BYTES]
        if end > edge:
            yield self.own[max(start - edge, 0) : end - edge]


@dataclass(slots=True)
class Content:
    """Everything by digest, and the tags of each repository."""

    stored: dict[str, Stored] = field(default_factory=dict)
    tags: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, media_type: str, data: bytes) -> dict[str, Any]:
        """Keep *data* and give its descriptor."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.stored[digest] = Stored(media_type, data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def add_image(self, repository: str, tag: str, layers: list[dict[str, Any]]) -> dict[str, Any]:
        """Keep an index with one image of *layers* under *tag*; give the index's descriptor."""
        manifest = self.add_manifest(layers)
        manifest["platform"] = {"os": "linux", "architecture": "amd64"}
        document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [manifest]}
        index = self.add(INDEX_TYPE, json.dumps(document).encode())
        self.tags[repository, tag] = index["digest"]
        return index

    def add_manifest(self, layers: list[dict[str, Any]]) -> dict[str, Any]:
        """Keep an image manifest with a config; give its descriptor."""
        config = self.add(
            CONFIG_TYPE, json.dumps({"architecture": "amd64", "os": "linux"}).encode()
        )
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config,
            "layers": layers,
        }
        return self.add(MANIFEST_TYPE, json.dumps(document).encode())

    def add_large(self, count: int, shared: bytes) -> list[dict[str, Any]]:
        """Keep *count* blobs that begin with the same *shared* bytes; give their descriptors."""
        state = hashlib.sha256(shared)
        layers = []
        for number in range(count):
            own = b"%016d" % number
            whole = state.copy()
            whole.update(own)
            digest = f"sha256:{whole.hexdigest()}"
            stored = self.stored[digest] = Stored(LAYER_TYPE, own, shared)
            layers.append({"mediaType": LAYER_TYPE, "digest": digest, "size": stored.size_bytes})
        return layers
