"""A survey of what is here: whether an artifact is whole, what no tag leads to, and what clients
pulled lately.

An artifact lacks something if a link isn't there that its manifests need. A link without bytes is
evicted, and wanted to be so: an artifact of which anything is evicted lacks nothing.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.oci.digest import Digest
from proxy.oci.errors import ManifestInvalid
from proxy.oci.manifest import INDEX_TYPES, MAX_MANIFEST_BYTES, children_of, media_type_of
from proxy.oci.platform import Platform, manifests_of
from proxy.oci.reference import Repository
from proxy.registry import walk
from proxy.registry.durable import read_small
from proxy.registry.layout import Layout, LinkKind
from proxy.registry.tree import MAX_LINK_BYTES, Tree
from proxy.registry.usage import Usage
from proxy.replication.copying import MAX_DEPTH

MAX_PULLED = 10_000
REPOSITORIES_AT_ONCE = 100


class _Evicted(Exception):
    """Something has a link and no bytes."""


async def lacks_parts(
    tree: Tree, repository: Repository, digest: Digest, platforms: Sequence[Platform]
) -> bool:
    """Say whether an artifact isn't whole here, though nothing of it was evicted.

    Raises: StoreUnavailable.
    """
    return await tree.run(_lacks_parts, tree.layout, repository, digest, platforms)


def _lacks_parts(
    layout: Layout, repository: Repository, digest: Digest, platforms: Sequence[Platform]
) -> bool:
    try:
        return any(_missing(layout, repository, digest, platforms, MAX_DEPTH))
    except _Evicted:
        return False


def _missing(
    layout: Layout,
    repository: Repository,
    digest: Digest,
    platforms: Sequence[Platform],
    depth: int,
) -> list[Digest]:
    """Give what has no link. All of it is looked at, since something else may be evicted."""
    if not _is_linked(layout, repository, LinkKind.MANIFEST, digest):
        return [digest]
    data = read_small(layout.data(digest), MAX_MANIFEST_BYTES)
    if data is None:
        raise _Evicted
    try:
        is_index = media_type_of(data) in INDEX_TYPES
    except ManifestInvalid:
        return []  # damaged: the scrub's business
    if not is_index:
        blobs = [each.digest for each in children_of(data)]
        return [each for each in blobs if not _is_here(layout, repository, each)]
    if depth == 0:
        return []
    children = [each.descriptor.digest for each in manifests_of(data) if each.is_for(platforms)]
    below = [_missing(layout, repository, each, platforms, depth - 1) for each in children]
    return [digest for part in below for digest in part]


def _is_here(layout: Layout, repository: Repository, digest: Digest) -> bool:
    if not _is_linked(layout, repository, LinkKind.LAYER, digest):
        return False
    if not os.path.lexists(layout.data(digest)):
        raise _Evicted
    return True


def _is_linked(layout: Layout, repository: Repository, kind: LinkKind, digest: Digest) -> bool:
    return os.path.lexists(layout.link(repository, kind, digest))


@dataclass(frozen=True, slots=True)
class Manifests:
    """How many manifests a repository links here, and those that no tag leads to, in order."""

    count: int
    untagged: list[Digest]


async def manifests_in(tree: Tree, repository: Repository) -> Manifests:
    """Give the manifests of a repository. An index whose bytes were evicted leads to nothing.

    Raises: StoreUnavailable.
    """
    return await tree.run(_manifests_in, tree.layout, repository)


def _manifests_in(layout: Layout, repository: Repository) -> Manifests:
    linked = frozenset(walk.manifests_of(layout, repository))
    texts = frozenset(text.strip() for text in _named(layout, [repository])[0])
    waiting = [digest for digest in linked if str(digest) in texts]
    reached = set(waiting)
    while waiting and len(reached) < len(linked):
        below = linked.intersection(_children(layout, waiting.pop())) - reached
        reached |= below
        waiting += below
    return Manifests(len(linked), sorted(linked - reached, key=str))


def _children(layout: Layout, digest: Digest) -> list[Digest]:
    """Give the manifests that an index names; none of anything else."""
    data = read_small(layout.data(digest), MAX_MANIFEST_BYTES)
    try:
        if data is None or media_type_of(data) not in INDEX_TYPES:
            return []
        return [each.digest for each in children_of(data)]
    except ManifestInvalid:
        return []


async def hottest_first(
    tree: Tree, usage: Usage, repositories: Iterable[Repository]
) -> list[Repository]:
    """Order repositories by when a client last pulled a manifest that one of their tags names.

    Raises: StoreUnavailable.
    """
    pulled = {str(key): at for key, at in (await usage.pulled_lately(MAX_PULLED)).items()}
    names = sorted(repositories)
    heat: dict[Repository, int] = {}
    for start in range(0, len(names) if pulled else 0, REPOSITORIES_AT_ONCE):
        some = names[start : start + REPOSITORIES_AT_ONCE]
        for name, digests in zip(some, await tree.run(_named, tree.layout, some), strict=True):
            heat[name] = max((pulled.get(each, 0) for each in digests), default=0)
    return sorted(names, key=lambda name: heat.get(name, 0), reverse=True)


def _named(layout: Layout, repositories: Sequence[Repository]) -> list[list[str]]:
    """Give what the tags of each repository name, as their links have it."""
    return [list(map(_text, layout.tags(each).glob("*/current/link"))) for each in repositories]


def _text(link: Path) -> str:
    return (read_small(link, MAX_LINK_BYTES) or b"").decode("ascii", "replace")
