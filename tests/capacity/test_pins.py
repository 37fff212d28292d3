"""Pins: what the operator wants to stay, and the verbs that say so."""

import json

import pytest

from tests.capacity.scene import BLOB_BYTES, CAPACITY, REPOSITORY, blobs
from tests.fills.calls import manifest_path
from tests.support.images import oci_image, oci_index
from tests.support.layers import Layer, digest_of, random_bytes
from tests.support.pushing import push


def _layer(seed):
    data = random_bytes(BLOB_BYTES, seed)
    return Layer(data, digest_of(data), digest_of(data), is_compressed=False)


def _image(seed, layers=1):
    return oci_image(seed, layers=[_layer(f"{seed}-{number}") for number in range(layers)])


@pytest.fixture
def run(proxima, scene):
    """Run a verb about the replica of the scene; give status, document and errors."""

    def call(*argv):
        store = ("--primary", "http://primary.test", "--store", str(scene.running.store))
        outcome = proxima(*argv, *store, "--json")
        return outcome.status, json.loads(outcome.output or "null"), outcome.errors

    return call


def _pull(scene, image, reference=None):
    """Pull an image with all below it, each content kept before the next."""
    for each in image.all_manifests():
        name = reference if reference and each is image else each.digest
        scene.client.get(manifest_path(REPOSITORY, name)).expect(200)
    scene.pull(image.all_blobs())


def _contents(image):
    manifests = {each.digest for each in image.all_manifests()}
    return manifests | {each.digest for each in image.all_blobs()}


@pytest.mark.parametrize("form", ["{repository}:1.0", "{repository}@{digest}", "{repository}"])
def test_a_pinned_image_stays_with_all_it_names(scene, upstream, run, form):
    """By tag, digest or repository: an index with its images and layers stays under pulls of much
    more than fits; unpinned it goes.
    """
    image = upstream.contents.add(REPOSITORY, oci_index([_image("a"), _image("b", 2)]), "1.0")
    _pull(scene, image, "1.0")
    reference = form.format(repository=REPOSITORY, digest=image.digest)
    status, document, _ = run("pin", reference)
    assert (status, document["pin"], document["names"]) == (0, reference, [image.digest])
    assert (document["contents"], document["is_whole"]) == (len(_contents(image)), True)
    scene.settle()
    scene.pull(blobs(upstream, 20))
    assert _contents(image) <= scene.visible
    assert scene.stored_bytes <= CAPACITY
    assert run("pins")[1]["pins"] == [document]
    explained = run("explain", f"{REPOSITORY}:1.0")[1]
    assert set(explained["pinned"]) == _contents(image)
    assert run("unpin", reference)[0] == 0
    assert run("pins")[1]["pins"] == []
    scene.pull(blobs(upstream, 12, "more"))
    assert not {each.digest for each in image.all_blobs() if len(each.data) > 2**16} & scene.visible


def test_a_pin_follows_its_tag(scene, upstream, run):
    """A tag that moves takes its pin along: the new image stays, the old one may go."""
    old = upstream.contents.add(REPOSITORY, _image("old", 2), "1.0")
    _pull(scene, old, "1.0")
    assert run("pin", f"{REPOSITORY}:1.0")[0] == 0
    new = _image("new", 2)
    push(scene.client, REPOSITORY, new, "1.0")
    scene.pull(new.all_blobs())
    scene.settle()
    scene.pull(blobs(upstream, 20))
    assert _contents(new) <= scene.visible
    assert not {each.digest for each in old.blobs if len(each.data) > 2**16} & scene.visible


def test_a_pin_holds_what_arrives_later(scene, upstream, run):
    """A pin may be set before anything is here; what it names is held once that is known."""
    image = upstream.contents.add(REPOSITORY, oci_index([_image("late", 2)]), "1.0")
    status, document, _ = run("pin", f"{REPOSITORY}@{image.digest}")
    assert (status, document["contents"], document["is_whole"]) == (0, 1, False)
    _pull(scene, image)
    scene.settle()
    scene.pull(blobs(upstream, 20))
    assert _contents(image) <= scene.visible
    assert run("pins")[1]["pins"][0]["is_whole"]


def test_a_store_of_pins_admits_what_is_left(scene, upstream, run):
    """Where pins leave too little room, pulls pass through; pinned contents are never given up."""
    image = upstream.contents.add(REPOSITORY, _image("full", 9), "1.0")
    _pull(scene, image, "1.0")
    assert run("pin", f"{REPOSITORY}:1.0")[0] == 0
    first, second = blobs(upstream, 2)
    for each in (first, second, first):
        assert scene.get(each).expect(200).body == each.data
        scene.running.wait_idle()
    assert _contents(image) <= scene.visible
    assert scene.stored_bytes <= CAPACITY
    assert scene.metric("refused_claims") > 0


def test_pins_that_cannot_be(scene, upstream, run):
    """What is no reference is refused in words; what isn't pinned can't be unpinned."""
    for reference in ("Team/App", "app@sha256:x", ""):
        status, document, errors = run("pin", reference)
        assert (status, document) == (1, None)
        assert errors.startswith(f"proxima: {reference}: ")
    status, _, errors = run("unpin", f"{REPOSITORY}:1.0")
    assert (status, "no such pin" in errors) == (1, True)


def test_explain_tells_what_was_evicted(scene, upstream, run):
    """Linked without bytes: evicted, which isn't missing; the image isn't complete."""
    image = upstream.contents.add(REPOSITORY, _image("seen", 2), "1.0")
    _pull(scene, image, "1.0")
    layers = [each.digest for each in image.blobs if len(each.data) > 2**16]
    scene.settle()
    scene.pull(blobs(upstream, 20))
    document = run("explain", f"{REPOSITORY}:1.0")[1]
    assert set(document["evicted"]) == set(layers)
    assert (document["missing"], document["complete"]) == ([], False)
    assert "evicted" in " ".join(document["steps"])
