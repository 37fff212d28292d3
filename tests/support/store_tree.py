"""A store on disk, looked at from outside: the standard registry v2 tree."""

from pathlib import Path

from tests.support.layers import digest_of

TREE = Path("docker/registry/v2")


def visible_blobs(root: Path) -> dict[str, Path]:
    """Give the file of each digest that the store shows, whole or not."""
    files = (root / TREE / "blobs").glob("*/*/*/data")
    return {f"{path.parts[-4]}:{path.parts[-2]}": path for path in files}


def wrong_blobs(root: Path) -> set[str]:
    """Give the digests whose file has other bytes."""
    blobs = visible_blobs(root)
    return {digest for digest, path in blobs.items() if not _is_right(digest, path)}


def linked_blobs(root: Path, repository: str) -> set[str]:
    """Give the digests that a repository links as blobs."""
    return _links(root / TREE / "repositories" / repository / "_layers")


def linked_manifests(root: Path, repository: str) -> set[str]:
    """Give the digests that a repository links as manifests."""
    return _links(root / TREE / "repositories" / repository / "_manifests/revisions")


def tags(root: Path, repository: str) -> dict[str, str]:
    """Give what each tag of a repository names."""
    folder = root / TREE / "repositories" / repository / "_manifests/tags"
    return {path.parts[-3]: path.read_text() for path in folder.glob("*/current/link")}


def blob_path(root: Path, digest: str) -> Path:
    """Give where the bytes of *digest* lie if they are there."""
    algorithm, _, name = digest.partition(":")
    return root / TREE / "blobs" / algorithm / name[:2] / name / "data"


def _links(folder: Path) -> set[str]:
    return {f"{path.parts[-3]}:{path.parts[-2]}" for path in folder.glob("*/*/link")}


def _is_right(digest: str, path: Path) -> bool:
    return digest_of(path.read_bytes(), digest.partition(":")[0]) == digest
