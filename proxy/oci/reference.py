"""Repository names, tags and references, each matched in full against the spec's grammar."""

import re

from proxy.oci.digest import Digest
from proxy.oci.errors import ManifestUnknown, NameInvalid

MAX_REPOSITORY_CHARACTERS = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Repository(str):
    """A repository name; only `parse` makes one."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "Repository":
        """Read a name.

        Raises: NameInvalid: anything but the spec's grammar, or more than 255 characters.
        """
        if len(text) > MAX_REPOSITORY_CHARACTERS or _REPOSITORY.fullmatch(text) is None:
            raise NameInvalid
        return cls(text)


class Tag(str):
    """A tag; only `parse` makes one."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "Tag":
        """Read a tag.

        Raises: ManifestUnknown: what isn't a tag can't exist, and the spec's answer to a
        reference that doesn't exist is 404.
        """
        if _TAG.fullmatch(text) is None:
            raise ManifestUnknown
        return cls(text)


Reference = Tag | Digest


def parse_reference(text: str) -> Reference:
    """Read a tag or a digest: whatever has a colon must be a digest.

    Raises: DigestInvalid, ManifestUnknown.
    """
    return Digest.parse(text) if ":" in text else Tag.parse(text)


def split_reference(text: str) -> tuple[Repository, Reference]:
    """Take `[host/]repository[:tag|@digest]` apart, as people write it; no tag means `latest`.

    Raises: NameInvalid, DigestInvalid, ManifestUnknown.
    """
    name, at, digest = text.partition("@")
    folder, _, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    name = f"{folder}/{last}" if folder else last
    host, slash, rest = name.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        name = rest
    repository = Repository.parse(name)
    return repository, Digest.parse(digest) if at else parse_reference(tag or "latest")
