"""`proxima export`: complete images as a tree that a stock registry serves alone."""

import os
import tempfile
from pathlib import Path

import pytest

from tests.conftest import Opened, require
from tests.support import registries
from tests.support.command_line import Proxima
from tests.support.pushing import assert_pullable
from tests.support.registries import docker_registry
from tests.support.registry_client import RegistryClient
from tests.support.store_tree import blob_path, tags, visible_blobs, wrong_blobs
from tests.verbs.conftest import REPOSITORY
from tests.verbs.stores import layer_of

SHARED_MEMORY = Path("/dev/shm")


def exported(proxima: Proxima, store: Path, target: Path):
    return proxima("export", "--complete", target, "--store", store, "--json")


def test_a_stock_registry_serves_the_export_alone(
    proxima: Proxima, warm, images, life, tmp_path, opened: Opened
):
    """Every complete image is pulled whole from a stock registry over the exported tree, with the
    replica and its store gone.
    """
    require(registries.PROGRAM)
    outcome = exported(proxima, warm.store, tmp_path / "stock/storage")
    assert (outcome.status, set(outcome.deeds("exported"))) == (
        0,
        {"team/app:1.0", "team/app:many"},
    )
    life.close()
    (warm.store / "docker").rename(warm.store / "gone")
    stock = opened(docker_registry(tmp_path / "stock"))
    client = RegistryClient(stock.url)
    assert_pullable(client, REPOSITORY, images.single, "1.0")
    assert_pullable(client, REPOSITORY, images.many, "many")


def test_bytes_are_linked_not_copied(proxima: Proxima, warm, tmp_path):
    """On one file system an export takes no room; a second one finds all of it there."""
    target = tmp_path / "out"
    first = exported(proxima, warm.store, target).result
    if warm.store.stat().st_dev != tmp_path.stat().st_dev:
        pytest.skip("two file systems")
    assert (first["copied_bytes"], first["contents"]) == (0, len(visible_blobs(target)))
    for digest, path in visible_blobs(target).items():
        assert path.stat().st_ino == blob_path(warm.store, digest).stat().st_ino
    again = exported(proxima, warm.store, target).result
    assert (again["exported"], again["contents"]) == (2, 0)


def test_bytes_are_copied_to_another_file_system(proxima: Proxima, warm, opened: Opened):
    """Where no hard link can be made, bytes are copied."""
    if not os.access(SHARED_MEMORY, os.W_OK):
        pytest.skip("no second file system")
    target = Path(opened(tempfile.TemporaryDirectory(prefix="export-", dir=SHARED_MEMORY)))
    if warm.store.stat().st_dev == target.stat().st_dev:
        pytest.skip("one file system")
    outcome = exported(proxima, warm.store, target / "out")
    assert (outcome.result["exported"], outcome.result["linked_bytes"]) == (2, 0)
    assert outcome.result["copied_bytes"] > 0
    assert wrong_blobs(target / "out") == set()
    assert set(visible_blobs(target / "out")) == set(visible_blobs(warm.store))


def test_incomplete_images_stay_out(proxima: Proxima, warm, images, tmp_path):
    """An image that lacks a blob isn't exported; an index is, with the platform that is whole."""
    blob_path(warm.store, layer_of(images.single)).unlink()
    amd64, arm64 = images.many.children
    blob_path(warm.store, layer_of(arm64)).unlink()
    outcome = exported(proxima, warm.store, tmp_path / "out")
    assert outcome.deeds("incomplete") == ["team/app:1.0"]
    assert tags(tmp_path / "out", REPOSITORY) == {"many": images.many.digest}
    here = set(visible_blobs(tmp_path / "out"))
    assert here == {images.many.digest, amd64.digest, *(each.digest for each in amd64.blobs)}
    blob_path(warm.store, layer_of(amd64)).unlink()
    outcome = exported(proxima, warm.store, tmp_path / "none")
    assert set(outcome.deeds("incomplete")) == {"team/app:1.0", "team/app:many"}
    assert (outcome.status, visible_blobs(tmp_path / "none")) == (0, {})


def test_a_damaged_manifest_is_not_exported(proxima: Proxima, warm, images, tmp_path):
    """C1: a manifest whose bytes aren't its digest's is incomplete."""
    blob_path(warm.store, images.single.digest).write_bytes(images.single.data + b" ")
    outcome = exported(proxima, warm.store, tmp_path / "out")
    assert outcome.deeds("incomplete") == ["team/app:1.0"]


@pytest.mark.parametrize("where", ["inside", "around"])
def test_an_export_into_the_store_is_refused(proxima: Proxima, warm, where):
    """The store isn't exported into itself, nor into what it lies in."""
    target = warm.store / "out" if where == "inside" else warm.store.parent
    outcome = exported(proxima, warm.store, target)
    assert (outcome.status, "lie in each other" in outcome.errors) == (1, True)
