"""OCI image layouts on disk, which skopeo copies from and to."""

import json
from pathlib import Path

from tests.support.images import OCI_INDEX, Manifest


def write_layout(folder: Path, manifest: Manifest, tag: str = "latest") -> Path:
    """Write *manifest* with all below it as an OCI layout and give the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    entry = manifest.descriptor() | {"annotations": {"org.opencontainers.image.ref.name": tag}}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    (folder / "index.json").write_text(json.dumps(index))
    for document in manifest.all_manifests():
        _write(folder, document.digest, document.data)
    for content in manifest.all_blobs():
        _write(folder, content.digest, content.data)
    return folder


def layout_blobs(folder: Path) -> dict[str, bytes]:
    """Give all content of an OCI layout by digest."""
    files = [path for path in (folder / "blobs").glob("*/*") if path.is_file()]
    return {f"{path.parent.name}:{path.name}": path.read_bytes() for path in files}


def _write(folder: Path, digest: str, data: bytes) -> None:
    algorithm, _, name = digest.partition(":")
    path = folder / "blobs" / algorithm / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
