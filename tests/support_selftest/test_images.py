"""Content of the tests is what its kind says, and the same on each run."""

import io
import json
import tarfile

import pytest

from tests.support import images
from tests.support.kinds import KINDS
from tests.support.layers import digest_of, random_bytes, random_layer, tar_layer
from tests.support.layout import layout_blobs, write_layout
from tests.support.schema1 import schema1_image


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_content_is_deterministic_and_its_digests_are_right(kind):
    content = kind.build("seed")
    assert content == kind.build("seed")
    assert content.digest != kind.build("another").digest
    for each in content.all_manifests():
        assert each.digest == digest_of(each.data)
        assert each.document()["mediaType"] == each.media_type
    for each in content.all_blobs():
        assert each.digest == digest_of(each.data, each.digest.partition(":")[0])


def test_manifests_lose_their_digest_when_they_are_written_again():
    content = images.oci_image()
    again = json.dumps(content.document()).encode()
    assert digest_of(again) != content.digest


def test_a_layer_of_random_bytes_has_its_size_and_is_a_tar_archive():
    layer = random_layer(1 << 20, "seed")
    assert len(layer.data) == 1 << 20
    with tarfile.open(fileobj=io.BytesIO(layer.data)) as archive:
        assert archive.getnames() == ["random/seed"]
    assert random_bytes(10, "a") != random_bytes(10, "b")


def test_a_compressed_layer_names_the_digest_of_its_archive():
    layer = tar_layer({"etc/motd": b"hello"})
    with tarfile.open(fileobj=io.BytesIO(layer.data), mode="r:gz") as archive:
        assert archive.getnames() == ["etc/motd"]
    assert layer.diff_id != layer.digest


def test_a_big_image_has_layers_of_the_size_asked_for():
    content = images.big_image(4 << 20, layer_count=4)
    assert sum(layer["size"] for layer in content.document()["layers"]) == 4 << 20


def test_referrers_name_their_subject():
    subject = images.oci_image()
    artifact = images.oci_artifact(subject=subject, annotations={"org.example": "yes"})
    assert artifact.document()["subject"]["digest"] == subject.digest
    assert artifact.document()["artifactType"]


def test_sha512_content_is_named_by_sha512():
    content = images.oci_image(algorithm="sha512")
    assert content.digest == digest_of(content.data, "sha512")
    assert all(each.digest.startswith("sha512:") for each in content.all_blobs())


def test_schema1_is_signed_and_its_digest_is_not_that_of_its_bytes():
    content = schema1_image("team/app", "v1")
    assert content == schema1_image("team/app", "v1")
    assert content.digest != digest_of(content.data)
    assert content.document()["signatures"]


def test_a_layout_holds_all_content(tmp_path):
    content = images.nested_index()
    folder = write_layout(tmp_path, content, "v1")
    blobs = layout_blobs(folder)
    assert blobs[content.digest] == content.data
    assert len(blobs) == len(list(content.all_manifests())) + len(list(content.all_blobs()))
