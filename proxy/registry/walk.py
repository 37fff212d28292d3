"""Walks over the tree on disk: contents, links, and what belongs to neither. All of them block.

They look at names alone and follow no symbolic link; what goes away meanwhile is passed over.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TypeVar

from proxy.oci.digest import Algorithm, Digest
from proxy.oci.errors import RegistryError
from proxy.oci.reference import Repository, Tag
from proxy.registry.layout import Layout, LinkKind

ALGORITHMS = frozenset(Algorithm)
AT_ONCE = 256

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ContentFile:
    """The file of one content. `touched_at` is wall-clock seconds, of its bytes or its place."""

    digest: Digest
    path: str
    size: int
    inode: int
    touched_at: float
    is_regular: bool


@dataclass(frozen=True, slots=True)
class Stray:
    """Something that has no place in a tree."""

    path: str


class Role(StrEnum):
    """What a link in a tree is."""

    LAYER = "layer"
    MANIFEST = "manifest"
    TAG = "tag"
    HISTORY = "history"


LINK_KINDS = {Role.LAYER: LinkKind.LAYER, Role.MANIFEST: LinkKind.MANIFEST}


@dataclass(frozen=True, slots=True)
class LinkFile:
    """A link. `digest` is what its path names: nothing for a tag's current link."""

    role: Role
    repository: Repository
    path: str
    digest: Digest | None
    tag: Tag | None = None


def entries_of(folder: str) -> list[os.DirEntry[str]]:
    """Give the entries of a folder by name; none if it isn't there (any more)."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def some_of(found: Iterator[T]) -> list[T]:
    """Give the next few of a walk, to be looked at in one go; none after the last."""
    return list(islice(found, AT_ONCE))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Say whether an entry is a folder itself."""
    return entry.is_dir(follow_symlinks=False)


def below(root: Path, path: str) -> str:
    """Give a path as it is told: as seen from the store."""
    return os.path.relpath(path, root)


# --- contents -------------------------------------------------------------------------------------


def contents(layout: Layout, after: str = "") -> Iterator[ContentFile | Stray]:
    """Give everything below `blobs`, in the order of `place`; what comes after that place."""
    blobs = os.fspath(layout.registry / "blobs")
    for algorithm in entries_of(blobs):
        if algorithm.name not in ALGORITHMS or not is_folder(algorithm):
            yield Stray(algorithm.path)
            continue
        for prefix in entries_of(algorithm.path):
            if f"{algorithm.name}:{prefix.name}" >= after[: len(algorithm.name) + 3]:
                yield from _in_prefix(prefix, Algorithm(algorithm.name), after)


def place(found: ContentFile) -> str:
    """Give where a content is in the order of the walk."""
    return str(found.digest)


def _in_prefix(
    prefix: os.DirEntry[str], algorithm: Algorithm, after: str
) -> Iterator[ContentFile | Stray]:
    if not is_folder(prefix):
        yield Stray(prefix.path)
        return
    for entry in entries_of(prefix.path):
        digest = _digest(algorithm, entry.name)
        if digest is None or entry.name[:2] != prefix.name or not is_folder(entry):
            yield Stray(entry.path)
        elif str(digest) > after:
            yield from _in_content(entry, digest)


def _in_content(folder: os.DirEntry[str], digest: Digest) -> Iterator[ContentFile | Stray]:
    for entry in entries_of(folder.path):
        if entry.name != "data":
            yield Stray(entry.path)
            continue
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield ContentFile(
            digest,
            entry.path,
            found.st_size,
            found.st_ino,
            max(found.st_mtime, found.st_ctime),
            stat.S_ISREG(found.st_mode),
        )


def _digest(algorithm: str, name: str) -> Digest | None:
    try:
        return Digest.parse(f"{algorithm}:{name}")
    except RegistryError:
        return None


# --- links ----------------------------------------------------------------------------------------


def repositories(layout: Layout) -> Iterator[Repository]:
    """Give the names of all repositories that have anything here."""
    root = os.fspath(layout.registry / "repositories")
    for folder, repository in _repository_folders(root, ""):
        if repository is not None and any(
            entry.name in ("_layers", "_manifests") for entry in entries_of(folder)
        ):
            yield repository


def links(layout: Layout) -> Iterator[LinkFile | Stray]:
    """Give everything below `repositories`."""
    root = os.fspath(layout.registry / "repositories")
    for folder, repository in _repository_folders(root, ""):
        for entry in entries_of(folder):
            is_part = entry.name.startswith("_")
            if repository is not None and is_folder(entry) and entry.name == "_layers":
                yield from _digest_links(entry.path, Role.LAYER, repository)
            elif repository is not None and is_folder(entry) and entry.name == "_manifests":
                yield from _manifest_links(entry.path, repository)
            elif is_part or not is_folder(entry) or _repository(folder, root, entry.name) is None:
                yield Stray(entry.path)


def links_of(layout: Layout, repository: Repository) -> Iterator[LinkFile | Stray]:
    """Give the links of one repository."""
    folder = os.fspath(layout.repository(repository))
    yield from _digest_links(f"{folder}/_layers", Role.LAYER, repository)
    yield from _manifest_links(f"{folder}/_manifests", repository)


def manifests_of(layout: Layout, repository: Repository) -> Iterator[Digest]:
    """Give the manifests that one repository links."""
    folder = f"{os.fspath(layout.repository(repository))}/_manifests/revisions"
    for link in _digest_links(folder, Role.MANIFEST, repository):
        if isinstance(link, LinkFile) and link.digest is not None:
            yield link.digest


def _repository_folders(root: str, name: str) -> Iterator[tuple[str, Repository | None]]:
    folder = f"{root}/{name}" if name else root
    yield folder, _parsed(name)
    for entry in entries_of(folder):
        if is_folder(entry) and _repository(folder, root, entry.name) is not None:
            yield from _repository_folders(root, f"{name}/{entry.name}" if name else entry.name)


def _repository(folder: str, root: str, name: str) -> Repository | None:
    """Give the repository that an entry of a folder stands for."""
    above = folder[len(root) :].lstrip("/")
    return _parsed(f"{above}/{name}" if above else name)


def _parsed(name: str) -> Repository | None:
    try:
        return Repository.parse(name)
    except RegistryError:
        return None


def _manifest_links(folder: str, repository: Repository) -> Iterator[LinkFile | Stray]:
    for entry in entries_of(folder):
        if entry.name == "revisions" and is_folder(entry):
            yield from _digest_links(entry.path, Role.MANIFEST, repository)
        elif entry.name == "tags" and is_folder(entry):
            for tag in entries_of(entry.path):
                yield from _tag_links(tag, repository)
        else:
            yield Stray(entry.path)


def _tag_links(folder: os.DirEntry[str], repository: Repository) -> Iterator[LinkFile | Stray]:
    try:
        tag = Tag.parse(folder.name)
    except RegistryError:
        yield Stray(folder.path)
        return
    if not is_folder(folder):
        yield Stray(folder.path)
    for entry in entries_of(folder.path):
        if entry.name == "index" and is_folder(entry):
            yield from _digest_links(entry.path, Role.HISTORY, repository, tag)
        elif entry.name == "current" and is_folder(entry):
            for link in entries_of(entry.path):
                if _is_link(link):
                    yield LinkFile(Role.TAG, repository, link.path, None, tag)
                else:
                    yield Stray(link.path)
        else:
            yield Stray(entry.path)


def _digest_links(
    folder: str, role: Role, repository: Repository, tag: Tag | None = None
) -> Iterator[LinkFile | Stray]:
    for algorithm in entries_of(folder):
        if algorithm.name not in ALGORITHMS or not is_folder(algorithm):
            yield Stray(algorithm.path)
            continue
        for entry in entries_of(algorithm.path):
            digest = _digest(algorithm.name, entry.name)
            if digest is None or not is_folder(entry):
                yield Stray(entry.path)
                continue
            for link in entries_of(entry.path):
                if _is_link(link):
                    yield LinkFile(role, repository, link.path, digest, tag)
                else:
                    yield Stray(link.path)


def _is_link(entry: os.DirEntry[str]) -> bool:
    return entry.name == "link" and entry.is_file(follow_symlinks=False)
