"""`proxima purge`: what is purged is forgotten, on disk and in memory, and nothing else is."""

import threading

import pytest

from tests.fills.in_process import in_process
from tests.support.hostile import Stall
from tests.support.store_tree import linked_blobs, linked_manifests, tags
from tests.support.waiting import wait_until
from tests.verbs.conftest import REPOSITORY, pull
from tests.verbs.stores import layer_of

OTHER = "team/other"


@pytest.mark.parametrize("is_running", [True, False])
def test_a_tag_goes_alone(proxima, warm, life, images, is_running):
    """Settled 15: a tag's purge removes the tag, and its history; manifest and blobs stay."""
    if not is_running:
        life.close()
    outcome = proxima("purge", "team/app:1.0", "--store", warm.store, "--json")
    assert (outcome.status, outcome.deeds("removed")) == (0, ["team/app:1.0"])
    assert tags(warm.store, REPOSITORY) == {"many": images.many.digest}
    assert images.single.digest in linked_manifests(warm.store, REPOSITORY)
    again = proxima("purge", "team/app:1.0", "--store", warm.store, "--json")
    assert (again.status, again.result["removed"]) == (1, 0)


@pytest.mark.parametrize("is_running", [True, False])
def test_a_manifest_goes_with_its_tags(proxima, warm, life, images, is_running):
    """Settled 15, 18: a digest's purge removes its link and the tags that name it."""
    if not is_running:
        life.close()
    target = f"registry.example.com/team/app@{images.single.digest}"
    outcome = proxima("purge", target, "--store", warm.store)
    assert outcome.status == 0
    assert "1.0" not in tags(warm.store, REPOSITORY)
    assert images.single.digest not in linked_manifests(warm.store, REPOSITORY)
    assert layer_of(images.single) in linked_blobs(warm.store, REPOSITORY)


@pytest.mark.parametrize("is_running", [True, False])
def test_a_repository_goes_whole(proxima, warm, upstream, life, images, is_running):
    """Settled 15, C4: nothing of a repository is left; another one that has the same stays."""
    upstream.contents.add(OTHER, images.single, "1.0")
    client = warm.client
    client.get(f"/v2/{OTHER}/manifests/1.0").expect(200)
    client.get(f"/v2/{OTHER}/blobs/{layer_of(images.single)}").expect(200)
    warm.wait_idle()
    if not is_running:
        life.close()
    outcome = proxima("purge", REPOSITORY, "--store", warm.store, "--json")
    assert (outcome.status, outcome.result["removed"]) == (0, 4 + 9 + 2)
    for found in (tags, linked_manifests, linked_blobs):
        assert not found(warm.store, REPOSITORY)
        assert found(warm.store, OTHER)


@pytest.mark.parametrize("target", ["team/app:1.0", "team/app", "team/app@{digest}"])
def test_the_replicas_memory_forgets_it(proxima, warm, upstream, images, target):
    """Settled 15: what was in memory of it a moment ago is asked of the primary again."""
    pull(warm, images.single, "1.0")
    before = upstream.count("GET", f"/v2/{REPOSITORY}/manifests/1.0")
    proxima("purge", target.format(digest=images.single.digest), "--store", warm.store)
    assert warm.client.get(f"/v2/{REPOSITORY}/manifests/1.0").body == images.single.data
    assert upstream.count("GET", f"/v2/{REPOSITORY}/manifests/1.0") == before + 1


def test_deleted_content_is_gone_with_its_purge(proxima, warm, upstream, images):
    """T3, C16: content that the primary has no more and that is purged here answers 404."""
    pull(warm, images.single, "1.0")
    layer = layer_of(images.single)
    repository = upstream.contents.repository(REPOSITORY)
    repository.forget(images.single.digest)
    del repository.blobs[layer]
    paths = [
        f"/v2/{REPOSITORY}/manifests/{images.single.digest}",
        f"/v2/{REPOSITORY}/blobs/{layer}",
    ]
    assert [warm.client.get(path).status for path in paths] == [200, 200]
    proxima("purge", f"team/app@{images.single.digest}", f"team/app@{layer}", "--store", warm.store)
    assert [warm.client.get(path).status for path in paths] == [404, 404]


@pytest.mark.parametrize("target", ["team/app", "team/app@{digest}"])
def test_what_is_on_its_way_is_not_linked(proxima, running, upstream, images, target):
    """A flight that began before the purge serves who follows it and makes no link."""
    layer = images.single.blobs[-1]
    path = f"/v2/{REPOSITORY}/blobs/{layer.digest}"
    held = upstream.inject(Stall(10), method="GET", path=path)
    replies = []
    client = threading.Thread(target=lambda: replies.append(running.client.get(path)))
    client.start()
    try:
        held.wait_fired()
        wait_until(lambda: running.arrived_bytes == 10, what="the flight")
        proxima("purge", target.format(digest=layer.digest), "--store", running.store)
    finally:
        held.release()
        client.join()
    assert replies[0].expect(200).body == layer.data
    running.wait_idle()
    assert layer.digest not in linked_blobs(running.store, REPOSITORY)
    assert running.client.get(path).expect(200).body == layer.data
    assert layer.digest in linked_blobs(running.store, REPOSITORY)


def test_a_purge_alone_holds_after_the_start(proxima, warm, upstream, images, life):
    """A replica that starts after the purge knows nothing of it."""
    life.close()
    proxima("purge", "team/app", "--store", warm.store)
    before = upstream.count("GET", f"/v2/{REPOSITORY}/manifests/1.0")
    with in_process(upstream.url, root=warm.store) as replica:
        pull(replica, images.single, "1.0")
    assert upstream.count("GET", f"/v2/{REPOSITORY}/manifests/1.0") == before + 1


@pytest.mark.parametrize("target", ["Team/App", "team/app@sha256:1", "team/app:-x", ""])
def test_what_is_no_target_is_refused(proxima, warm, target):
    """A target outside the grammar removes nothing."""
    outcome = proxima("purge", target, "--store", warm.store)
    assert (outcome.status, outcome.output) == (1, "")
    assert outcome.errors.startswith("proxima: purge: ")
    assert set(tags(warm.store, REPOSITORY)) == {"1.0", "many"}
