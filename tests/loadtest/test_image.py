"""The images of the demo and the benchmarks."""

import hashlib
import io
import json
import tarfile

from loadtest.image import make_image

SIZES = (6_000_000, 200_000)


def blob(image, digest):
    return (image.layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()


def test_the_same_seed_makes_the_same_image_and_another_one_another(tmp_path):
    digests = [
        make_image(tmp_path / name, seed, SIZES).digest
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_every_blob_is_what_its_descriptor_says_and_layers_are_tars(tmp_path):
    image = make_image(tmp_path / "image", 1, SIZES)
    manifest = json.loads(blob(image, image.digest))
    config = json.loads(blob(image, manifest["config"]["digest"]))
    assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) == len(SIZES)
    for descriptor, size in zip(manifest["layers"], SIZES, strict=True):
        data = blob(image, descriptor["digest"])
        assert descriptor["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert descriptor["size"] == len(data)
        with tarfile.open(fileobj=io.BytesIO(data)) as layer:
            assert sum(entry.size for entry in layer) == size


def test_its_size_is_that_of_everything_a_client_fetches(tmp_path):
    image = make_image(tmp_path / "image", 1, SIZES)
    manifest = json.loads(blob(image, image.digest))
    fetched = [manifest["config"]["size"], *(layer["size"] for layer in manifest["layers"])]
    assert image.total_bytes == sum(fetched) + len(blob(image, image.digest))
