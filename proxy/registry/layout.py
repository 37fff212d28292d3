"""Where things lie: a standard Distribution (registry v2) tree, and our own folders beside it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from proxy.oci.digest import Digest
from proxy.oci.reference import Repository, Tag


class LinkKind(StrEnum):
    """The two kinds of link in the tree, named by their folder below the repository."""

    LAYER = "_layers"
    MANIFEST = "_manifests/revisions"


def data_below(digest: Digest) -> str:
    """Give where the bytes of *digest* lie below the folder of blobs."""
    return f"{digest.algorithm}/{digest.hex[:2]}/{digest.hex}/data"


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below one root. All of them are on one file system, so that rename is atomic."""

    root: Path

    @property
    def registry(self) -> Path:
        return self.root / "docker" / "registry" / "v2"

    @property
    def spool(self) -> Path:
        """Files that grow; what has no mark here at start is a leftover."""
        return self.root / "spool"

    @property
    def quarantine(self) -> Path:
        """Contents that were found damaged, out of the tree."""
        return self.root / "quarantine"

    @property
    def sidecar(self) -> Path:
        return self.root / "proxima.sqlite"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def control_socket(self) -> Path:
        return self.root / "control.sock"

    @property
    def signing_key(self) -> Path:
        return self.root / "token-key.pem"

    @property
    def blobs(self) -> Path:
        return self.registry / "blobs"

    def data(self, digest: Digest) -> Path:
        """The bytes of *digest*."""
        return self.blobs / data_below(digest)

    def link(self, repository: Repository, kind: LinkKind, digest: Digest) -> Path:
        """The record that *repository* contains *digest*."""
        return self.repository(repository) / kind / digest.algorithm / digest.hex / "link"

    def tag(self, repository: Repository, tag: Tag) -> Path:
        """The folder of one tag."""
        return self.repository(repository) / "_manifests" / "tags" / tag

    def tag_current(self, repository: Repository, tag: Tag) -> Path:
        """What the tag names now."""
        return self.tag(repository, tag) / "current" / "link"

    def tag_index(self, repository: Repository, tag: Tag, digest: Digest) -> Path:
        """One of the digests that the tag named."""
        folder = self.tag(repository, tag) / "index"
        return folder / digest.algorithm / digest.hex / "link"

    def tags(self, repository: Repository) -> Path:
        return self.repository(repository) / "_manifests" / "tags"

    def repository(self, repository: Repository) -> Path:
        """The folder of one repository's links and tags; others may lie below it."""
        return self.registry / "repositories" / repository
