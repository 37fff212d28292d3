"""Checks of manifest pushes."""

from dataclasses import replace

from tests.conformance.place import Place, Unsupported
from tests.conformance.pulling import MISSING, Check
from tests.support import images
from tests.support.images import Manifest
from tests.support.pushing import assert_pullable, location, pull, put_manifest

LARGE_BYTES = 4_000_000
TOO_LARGE_BYTES = 12_000_000


def put_by_tag(place: Place) -> None:
    """PUT of a manifest under a tag is 201 with Location and digest."""
    image = _with_blobs(place)
    reply = put_manifest(place.client, place.repository, image, "v1").expect(201)
    assert reply.header("Docker-Content-Digest") in (None, image.digest)
    found = place.client.get(location(reply), {"Accept": image.media_type}).expect(200)
    assert found.body == image.data
    assert_pullable(place.client, place.repository, image, "v1")


def put_by_digest(place: Place) -> None:
    """PUT of a manifest under its digest is 201 and makes no tag."""
    image = _with_blobs(place)
    reply = put_manifest(place.client, place.repository, image).expect(201)
    assert reply.header("Location")
    assert_pullable(place.client, place.repository, image)


def put_again(place: Place) -> None:
    """A manifest that is there can be pushed again, under more tags."""
    image = place.push(images.oci_image(place.repository), "v1")
    for tag in ("v1", "v2"):
        put_manifest(place.client, place.repository, image, tag).expect(201)
    assert_pullable(place.client, place.repository, image, "v2")


def put_wrong_digest(place: Place) -> None:
    """PUT under another digest than the manifest's is 400 and leaves nothing."""
    wrong = replace(_with_blobs(place), digest=MISSING)
    put_manifest(place.client, place.repository, wrong).expect(400)
    pull(place.client, place.repository, MISSING).expect(404)


def put_malformed(place: Place) -> None:
    """PUT of something that isn't a manifest is 400."""
    for data in (b"", b"{", b"[]", b"not JSON"):
        broken = replace(images.oci_image(), data=data)
        put_manifest(place.client, place.repository, broken, "v1").expect(400)
    pull(place.client, place.repository, "v1").expect(404)


def put_bad_tag(place: Place) -> None:
    """PUT under a tag that isn't one is refused."""
    image = _with_blobs(place)
    put_manifest(place.client, place.repository, image, "-v1").expect(400, 404)


def put_without_layers(place: Place) -> None:
    """An image without layers can be pushed."""
    image = images.oci_image(place.repository, layers=[])
    place.push_blob(image.blobs[0])
    if put_manifest(place.client, place.repository, image, "v1").status != 201:
        raise Unsupported("images without layers")
    assert_pullable(place.client, place.repository, image, "v1")


def put_without_blobs(place: Place) -> None:
    """A manifest whose blobs aren't there is taken, or refused as such."""
    image = images.oci_image(place.repository)
    reply = put_manifest(place.client, place.repository, image, "v1").expect(201, 400, 404)
    if reply.status != 201:
        assert set(reply.error_codes) <= {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"}
        assert reply.error_codes


def put_large(place: Place) -> None:
    """A manifest of nearly 4 MiB can be pushed and pulled."""
    image = _with_blobs(place, LARGE_BYTES)
    reply = put_manifest(place.client, place.repository, image, "v1")
    if reply.status != 201:
        raise Unsupported("large manifests")
    assert_pullable(place.client, place.repository, image, "v1")


def put_too_large(place: Place) -> None:
    """A manifest of 12 MB is refused as such."""
    image = _with_blobs(place, TOO_LARGE_BYTES)
    reply = put_manifest(place.client, place.repository, image, "v1").expect(201, 400, 413)
    if reply.status == 201:
        raise Unsupported("a limit")
    pull(place.client, place.repository, "v1").expect(404)


def tag_moves(place: Place) -> None:
    """A tag names the manifest that was pushed last."""
    for seed in ("one", "two", "one"):
        image = place.push(images.oci_image(f"{place.repository}-{seed}"), "v1")
        assert pull(place.client, place.repository, "v1").expect(200).body == image.data


def subject_acknowledged(place: Place) -> None:
    """PUT of a manifest with a subject names the subject in its answer."""
    subject = place.push(images.oci_image(place.repository))
    referrer = images.oci_artifact(place.repository, subject=subject)
    for content in referrer.blobs:
        place.push_blob(content)
    acknowledged = put_manifest(place.client, place.repository, referrer).expect(201)
    if acknowledged.header("OCI-Subject") is None:
        raise Unsupported("referrers")
    assert acknowledged.header("OCI-Subject") == subject.digest


def index_with_absent_child(place: Place) -> None:
    """An index one of whose children isn't there is taken, or refused as such."""
    absent = images.oci_image(f"{place.repository}-absent", architecture="arm64")
    here = place.push(images.oci_image(place.repository))
    index = images.oci_index([here], absent=[absent])
    put_manifest(place.client, place.repository, index, "v1").expect(201, 400, 404)


def push_every_shape(place: Place) -> None:
    """Indexes, nested indexes, lists and artifacts are pushed and pulled back."""
    seed = place.repository
    shapes = (
        images.multi_platform(seed),
        images.nested_index(seed),
        images.docker_multi_platform(seed),
        images.oci_artifact(seed),
    )
    for number, content in enumerate(shapes):
        place.push(content, f"v{number}")
        assert_pullable(place.client, place.repository, content, f"v{number}")


def _with_blobs(place: Place, padding: int = 0) -> Manifest:
    """Push all of an image but its manifest, and give it."""
    annotations = {"padding": "x" * padding} if padding else None
    image = images.oci_image(place.repository, annotations=annotations)
    for content in image.blobs:
        place.push_blob(content)
    return image


CHECKS: tuple[Check, ...] = (
    put_by_tag,
    put_by_digest,
    put_again,
    put_wrong_digest,
    put_malformed,
    put_bad_tag,
    put_without_layers,
    put_without_blobs,
    put_large,
    put_too_large,
    tag_moves,
    subject_acknowledged,
    index_with_absent_child,
    push_every_shape,
)
