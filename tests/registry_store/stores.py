"""Contents of a store for tests: of every size that is handled differently, and one manifest."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.oci.digest import Digest
from proxy.oci.manifest import check_manifest
from proxy.oci.reference import Repository
from proxy.oci.request import BlobPull, ManifestPull
from proxy.registry.integrity import Integrity, Stamp
from proxy.registry.layout import LinkKind
from proxy.registry.store import SMALL_BYTES, Store
from proxy.registry.tree import Tree
from tests.registry_store.ground import TAIL_BYTES, A, open_files, read_all
from tests.support.layers import random_bytes
from tests.support.waiting import eventually

SMALL = random_bytes(1000, "small")
MIDDLE = random_bytes(20_000, "middle")
LARGE = random_bytes(SMALL_BYTES * 3, "large")
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCUMENT = b'{"schemaVersion":2,"mediaType":"%s","config":{},"layers":[]}' % OCI_MANIFEST.encode()


@asynccontextmanager
async def opened_store(tree: Tree) -> AsyncIterator[Store]:
    """A store over *tree*; at its end its checks have ended and no descriptor is left."""
    store = Store(tree, Integrity(tree, TAIL_BYTES), 1 << 20, may_serve_unverified_parts=True)
    yield store
    await eventually(lambda: not store.integrity._checks)
    await store.integrity.close()
    assert open_files(tree.layout.root) == []


def pull_of(data: bytes, repository: Repository = A) -> BlobPull:
    return BlobPull(repository, Digest.of(data))


def manifest_pull(repository: Repository = A) -> ManifestPull:
    return ManifestPull(repository, Digest.of(DOCUMENT))


async def put(store: Store, data: bytes) -> Path:
    """Put a blob into the store, linked in A; give its file."""
    digest = Digest.of(data)
    await store.tree.put_bytes(digest, data)
    await store.tree.put_link(A, LinkKind.LAYER, digest)
    return store.tree.layout.data(digest)


async def put_manifest(store: Store) -> Path:
    """Put the manifest into the store, linked in A; give its file."""
    digest = Digest.of(DOCUMENT)
    await store.put_manifest(A, check_manifest(DOCUMENT, digest, OCI_MANIFEST))
    return store.tree.layout.data(digest)


async def serve(store: Store, data: bytes) -> bytes:
    """Read a blob of A as a client would."""
    return await read_all(await store.open(pull_of(data)))


def has_been_hashed(store: Store, path: Path, data: bytes) -> bool:
    """Say whether the file as it is now needn't be hashed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return store.integrity.is_good(Digest.of(data), Stamp.of(descriptor))
    finally:
        os.close(descriptor)


def is_there(path: Path) -> bool:
    """Say whether anything has this name, a dangling link included."""
    return os.path.lexists(path)
