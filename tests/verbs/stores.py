"""Ways to damage a store, and what it looks like from outside."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from tests.support.images import Manifest
from tests.support.layers import digest_of
from tests.support.store_tree import TREE, blob_path

REPOSITORY = "team/app"

Damage = Callable[[Path, Manifest], None]


def layer_of(image: Manifest) -> str:
    """Give the digest of an image's last layer."""
    return image.blobs[-1].digest


def link_path(root: Path, kind: str, digest: str, repository: str = REPOSITORY) -> Path:
    """Give where a link lies; *kind* is `_layers`, `_manifests/revisions` or a tag's index."""
    algorithm, _, name = digest.partition(":")
    return root / TREE / "repositories" / repository / kind / algorithm / name / "link"


def tag_path(root: Path, tag: str, repository: str = REPOSITORY) -> Path:
    return root / TREE / "repositories" / repository / f"_manifests/tags/{tag}/current/link"


def flip(path: Path) -> None:
    """Change a byte and keep the file's times, as rot does."""
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def put_bytes(root: Path, data: bytes) -> str:
    """Put bytes into a tree that nothing links."""
    digest = digest_of(data)
    path = blob_path(root, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return digest


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _folder_for_bytes(root: Path, image: Manifest) -> None:
    path = blob_path(root, layer_of(image))
    path.unlink()
    path.mkdir()


def _shorten(root: Path, image: Manifest) -> None:
    os.truncate(blob_path(root, layer_of(image)), 3)


def _no_manifest(root: Path, image: Manifest) -> None:
    digest = put_bytes(root, json.dumps({"schemaVersion": 2}).encode())
    write(link_path(root, "_manifests/revisions", digest), digest)


DAMAGES: dict[str, tuple[str, Damage]] = {
    "flipped": ("wrong_bytes", lambda root, image: flip(blob_path(root, layer_of(image)))),
    "manifest": ("wrong_bytes", lambda root, image: flip(blob_path(root, image.digest))),
    "shorter": ("wrong_bytes", _shorten),
    "folder": ("unreadable", _folder_for_bytes),
    "layer link": (
        "bad_link",
        lambda root, image: write(link_path(root, "_layers", layer_of(image)), image.digest),
    ),
    "manifest link": (
        "bad_link",
        lambda root, image: write(link_path(root, "_manifests/revisions", image.digest), ""),
    ),
    "tag link": ("bad_link", lambda root, _: write(tag_path(root, "1.0"), "sha256:xyz")),
    "history": (
        "bad_link",
        lambda root, image: write(
            link_path(root, "_manifests/tags/1.0/index", image.digest), layer_of(image)
        ),
    ),
    "dangling": (
        "dangling_tag",
        lambda root, _: write(tag_path(root, "gone"), digest_of(b"gone")),
    ),
    "no manifest": ("bad_manifest", _no_manifest),
    "stray bytes": ("stray", lambda root, _: write(root / TREE / "blobs/sha256/zz/x", "x")),
    "stray folder": (
        "stray",
        lambda root, _: write(root / TREE / f"repositories/{REPOSITORY}/_uploads/u/data", "x"),
    ),
    "stray name": ("stray", lambda root, _: write(root / TREE / "repositories/Bad/x", "x")),
}
"""What may be wrong: the problem that is found, and what makes it."""
