"""Images made of random bytes: an OCI layout in a folder, the same for the same seed."""

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
GZIP_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
# What clients accept; a stock registry says that an index isn't there to who doesn't accept it.
MANIFEST_ACCEPT = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        MANIFEST_TYPE,
        INDEX_TYPE,
        "*/*",
    )
)

_CREATED = "2024-01-01T00:00:00Z"
_FILE_BYTES = 4 * 10**6
_GZIP_BELOW_BYTES = (
    5 * 10**6
)  # random bytes don't shrink: packing large layers would only take time


@dataclass(frozen=True, slots=True)
class Image:
    """An image in an OCI layout."""

    layout: Path
    tag: str
    digest: str
    layer_sizes_bytes: tuple[int, ...]
    total_bytes: int

    @property
    def place(self) -> str:
        """Give it as skopeo's source."""
        return f"oci:{self.layout}:{self.tag}"


class Layout:
    """An OCI layout being written (image-spec, "image-layout")."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        self.total_bytes = 0

    def add(self, media_type: str, data: bytes) -> dict[str, Any]:
        """Keep *data* and give its descriptor."""
        name = hashlib.sha256(data).hexdigest()
        (self._blobs / name).write_bytes(data)
        self.total_bytes += len(data)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}

    def close(self, descriptor: dict[str, Any], tag: str) -> None:
        """Name what the layout holds."""
        named = descriptor | {"annotations": {"org.opencontainers.image.ref.name": tag}}
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [named]}
        (self._folder / "index.json").write_bytes(_json(index))
        (self._folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))


def make_image(
    folder: Path, seed: int, layer_sizes_bytes: Iterable[int], tag: str = "1.0"
) -> Image:
    """Write an image to *folder*: a tar layer of random files for each size, small ones gzipped."""
    source = random.Random(seed)
    layout = Layout(folder)
    layers, diff_ids = [], []
    for number, size in enumerate(layer_sizes_bytes):
        tar = _tar(source, f"layer{number}", size)
        diff_ids.append("sha256:" + hashlib.sha256(tar).hexdigest())
        if size < _GZIP_BELOW_BYTES:
            layers.append(layout.add(GZIP_LAYER_TYPE, gzip.compress(tar, 1, mtime=0)))
        else:
            layers.append(layout.add(LAYER_TYPE, tar))
    config = layout.add(CONFIG_TYPE, _json(_config(diff_ids)))
    manifest = layout.add(MANIFEST_TYPE, _json(_manifest(config, layers)))
    layout.close(manifest, tag)
    sizes = tuple(layer["size"] for layer in layers)
    return Image(folder, tag, manifest["digest"], sizes, layout.total_bytes)


def _config(diff_ids: list[str]) -> dict[str, Any]:
    return {
        "created": _CREATED,
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": _CREATED, "created_by": "random bytes"} for _ in diff_ids],
    }


def _manifest(config: dict[str, Any], layers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers}


def _tar(source: random.Random, name: str, size_bytes: int) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for start in range(0, size_bytes, _FILE_BYTES):
            entry = tarfile.TarInfo(f"{name}/{start // _FILE_BYTES:04d}.bin")
            entry.size = min(_FILE_BYTES, size_bytes - start)
            tar.addfile(entry, io.BytesIO(source.randbytes(entry.size)))
    return archive.getvalue()


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
