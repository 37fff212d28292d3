"""`proxima verify`: what is wrong is found and repaired, beside a running replica and without."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.oci.digest import Algorithm, Digest
from proxy.registry.hashing import hash_file, is_partly_cached
from tests.fills.in_process import in_process
from tests.support.images import Manifest
from tests.support.layers import random_bytes
from tests.support.store_tree import blob_path, wrong_blobs
from tests.verbs.conftest import REPOSITORY, pull
from tests.verbs.stores import DAMAGES, flip, layer_of


@pytest.mark.parametrize("is_running", [True, False])
def test_a_good_store_is_called_good(proxima, warm, life, upstream, is_running):
    """Everything is counted, nothing is found, nothing is asked of the primary."""
    if not is_running:
        life.close()
    outcome = proxima("verify", "--store", warm.store, "--json")
    result = outcome.result
    assert (outcome.status, outcome.findings, result["good"]) == (0, {}, True)
    sizes = [path.stat().st_size for path in (warm.store / "docker").rglob("data")]
    assert (result["contents"], result["bytes"]) == (len(sizes), sum(sizes))
    assert (result["manifests"], result["tags"], result["evicted"]) == (4, 2, 0)
    assert outcome.of("progress")
    assert upstream.count(path="/v2/.+") == 0


def check_found_and_repaired(proxima, store: Path, name: str, image: Manifest) -> None:
    """Damage a store; verify tells of it and changes nothing, with `--repair` it sets it right."""
    problem, damage = DAMAGES[name]
    damage(store, image)
    first = proxima("verify", "--store", store, "--json")
    again = proxima("verify", "--store", store, "--json")
    assert first.status == again.status == 1
    assert problem in first.findings, first
    assert first.findings == again.findings
    repaired = proxima("verify", "--repair", "--store", store, "--json")
    assert (repaired.status, repaired.findings[problem]) == (0, True), repaired
    clean = proxima("verify", "--store", store, "--json")
    assert (clean.status, clean.findings) == (0, {}), clean
    assert wrong_blobs(store) == set()


def test_damage_is_repaired_beside_a_replica(proxima, warm, images):
    """C21: whatever is wrong is found and repaired, and what is missing then comes by a pull."""
    for name in DAMAGES:
        check_found_and_repaired(proxima, warm.store, name, images.single)
        pull(warm, images.single, "1.0")
        assert blob_path(warm.store, layer_of(images.single)).is_file(), name


def test_damage_is_repaired_alone(proxima, warm, life, images, tmp_path):
    """C21: the same on a store that no replica uses."""
    life.close()
    for name in DAMAGES:
        store = tmp_path / name.replace(" ", "-")
        shutil.copytree(warm.store, store)
        check_found_and_repaired(proxima, store, name, images.single)


def test_wrong_bytes_are_kept_aside(proxima, warm, images):
    """C21: what was damaged is moved out of the tree for whoever wants to know why."""
    digest = layer_of(images.single)
    flip(blob_path(warm.store, digest))
    assert proxima("verify", "--repair", "--store", warm.store).status == 0
    assert len(warm.events("store.quarantined")) == 1
    (aside,) = (warm.store / "quarantine").iterdir()
    assert digest.partition(":")[2] in aside.name


def test_rot_that_was_found_is_not_served(proxima, upstream, opened):
    """C21: a blob that went out unread, since it had been hashed before, is read again once verify
    has found it wrong, without any repair: the client gets right bytes.
    """
    data = random_bytes(200_000, "rots")
    digest = str(Digest.of(data))
    upstream.contents.repository(REPOSITORY).blobs[digest] = data
    replica = opened(in_process(upstream.url))
    path = f"/v2/{REPOSITORY}/blobs/{digest}"
    for _ in range(2):
        assert replica.client.get(path).expect(200).body == data
        replica.wait_idle()
    flip(blob_path(replica.store, digest))
    assert proxima("verify", "--store", replica.store).status == 1
    assert replica.client.get(path).expect(200).body == data
    assert replica.events("store.quarantined")


def test_a_link_without_bytes_is_no_problem(proxima, warm, images):
    """Design 8: evicted is a state: it is counted and left alone."""
    blob_path(warm.store, layer_of(images.single)).unlink()
    outcome = proxima("verify", "--repair", "--store", warm.store, "--json")
    assert (outcome.status, outcome.findings, outcome.result["evicted"]) == (0, {}, 1)


def test_a_store_that_somebody_else_has_is_left_alone(proxima, warm, life):
    """A process that holds the store's lock and answers nothing isn't written beside."""
    life.close()
    with (warm.store / "lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = proxima("verify", "--store", warm.store)
    assert (outcome.status, outcome.output) == (1, "")
    assert "another process uses the store" in outcome.errors


@pytest.mark.parametrize("verb", ["verify", "gc"])
def test_what_is_no_store_stays_as_it_is(proxima, tmp_path, verb):
    """A mistyped folder isn't made into a store."""
    outcome = proxima(verb, "--store", tmp_path / "nowhere")
    assert (outcome.status, "is no store" in outcome.errors) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_the_settings_file_names_the_store(proxima, warm, tmp_path):
    """Without `--store` the settings say where it is."""
    config = tmp_path / "replica.toml"
    config.write_text(f'[primary]\nurl = "http://p.test"\n[store]\nroot = "{warm.store}"\n')
    outcome = proxima("verify", "--config", config)
    assert (outcome.status, "contents" in outcome.output) == (0, True)


@contextmanager
def dropped(path: Path, data: bytes) -> Iterator[int]:
    """Write a file and let go of its pages; give its descriptor."""
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("was_cached", [True, False])
def test_hashing_leaves_the_page_cache_as_it_was(tmp_path, was_cached):
    """A file that was not in memory isn't there after it was hashed; one that was stays there."""
    data = random_bytes(20 << 20, "pages")
    path = tmp_path / "data"
    with dropped(tmp_path / "other", data) as descriptor:
        if is_partly_cached(descriptor, len(data)):
            pytest.skip("this file system has no pages to let go of")
    with dropped(path, data) as descriptor:
        if was_cached:
            path.read_bytes()
            assert is_partly_cached(descriptor, len(data))
        digest, stamp = hash_file(descriptor, Algorithm.SHA256)
        assert (digest, stamp.size) == (Digest.of(data).hex, len(data))
        assert is_partly_cached(descriptor, len(data)) == was_cached
