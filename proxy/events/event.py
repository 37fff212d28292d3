"""Events: what a primary says has happened in one of its repositories."""

from dataclasses import dataclass

from proxy.oci.descriptor import Descriptor
from proxy.oci.digest import Digest
from proxy.oci.reference import Repository, Tag


@dataclass(frozen=True, slots=True)
class ManifestPushed:
    """A manifest was pushed, or a tag was set to one that was there. Tag, digest or both are named.

    references: what the manifest names, as far as the sender says. Not verified.
    """

    repository: Repository
    tag: Tag | None = None
    digest: Digest | None = None
    media_type: str = ""
    size_bytes: int | None = None
    references: tuple[Descriptor, ...] = ()


@dataclass(frozen=True, slots=True)
class BlobPushed:
    """A blob was uploaded, or mounted from another repository."""

    repository: Repository
    digest: Digest
    media_type: str = ""
    size_bytes: int | None = None
    mounted_from: Repository | None = None


@dataclass(frozen=True, slots=True)
class ManifestDeleted:
    """A manifest was deleted, with all its tags; *tag* is one of them, if the sender names one.

    Distribution reports a deleted blob in the same words.
    """

    repository: Repository
    digest: Digest
    tag: Tag | None = None


@dataclass(frozen=True, slots=True)
class TagDeleted:
    """A tag was deleted; *digest* is what it pointed to, which may or may not be gone too."""

    repository: Repository
    tag: Tag
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class RepositoryDeleted:
    """A repository was deleted with all that it had."""

    repository: Repository


Event = ManifestPushed | BlobPushed | ManifestDeleted | TagDeleted | RepositoryDeleted
