"""Checks of pulls: blobs, ranges, manifests by tag and digest, errors."""

from collections.abc import Callable

from tests.conformance.place import Place, Unsupported
from tests.support.images import Manifest, oci_image
from tests.support.kinds import KINDS, Kind
from tests.support.layers import blob, digest_of
from tests.support.pushing import ACCEPT_ALL, assert_pullable, pull, put_manifest
from tests.support.registry_client import Reply, UnexpectedReply

MISSING = digest_of(b"never pushed anywhere")
BAD_DIGESTS = {"short": "sha256:abc", "not_hex": "sha256:" + "g" * 64, "md5": "md5:" + "0" * 32}
BAD_REFERENCES = {
    "short_digest": "sha256:abc",
    "dash": "-v1",
    "dot": ".v1",
    "long": "v" * 129,
    "percent": "v%31%2f",
}
BAD_NAMES = {"upper_case": "Upper", "empty": "a//b", "dash": "-a", "dot": "a/.b", "up": "../b"}

Check = Callable[[Place], None]


def named(check: Check, name: str, claim: str) -> Check:
    """Give a check its row's name and claim."""
    check.__name__, check.__doc__ = name, claim
    return check


def base(place: Place) -> None:
    """GET /v2/ is 200."""
    place.client.get("/v2/").expect(200)


def blob_get(place: Place) -> None:
    """GET of a blob gives its bytes, their number and their digest."""
    content = place.has_blob(100_000)
    reply = place.blob(content.digest).expect(200)
    assert reply.body == content.data
    assert reply.header("Content-Length") == "100000"
    assert reply.header("Docker-Content-Digest") in (None, content.digest)


def blob_head(place: Place) -> None:
    """HEAD of a blob gives its size."""
    content = place.has_blob(5000)
    reply = place.client.head(f"{place.base}/blobs/{content.digest}").expect(200)
    assert (reply.body, reply.header("Content-Length")) == (b"", "5000")


def blob_head_then_get(place: Place) -> None:
    """HEAD and GET of a blob agree."""
    content = place.has_blob(5000)
    target = f"{place.base}/blobs/{content.digest}"
    head, get = place.client.head(target).expect(200), place.client.get(target).expect(200)
    names = ("Content-Length", "Content-Type", "Docker-Content-Digest", "ETag")
    assert [head.header(name) for name in names] == [get.header(name) for name in names]


def blob_get_empty(place: Place) -> None:
    """A blob without bytes can be pushed and pulled."""
    content = place.push_blob(blob(b""))
    reply = place.blob(content.digest).expect(200)
    assert (reply.body, reply.header("Content-Length")) == (b"", "0")


def blob_missing(place: Place) -> None:
    """GET and HEAD of a blob that isn't there are 404."""
    place.has_blob()
    place.client.head(f"{place.base}/blobs/{MISSING}").expect(404)
    reply = place.blob(MISSING).expect(404)
    assert reply.error_codes == ["BLOB_UNKNOWN"]


def blob_of_neighbour(place: Place) -> None:
    """A blob of another repository is not there."""
    content = place.neighbour.has_blob()
    place.has_image()
    place.neighbour.blob(content.digest).expect(200)
    place.blob(content.digest).expect(404)


def blob_range(place: Place) -> None:
    """A range of a blob is answered with just that."""
    content = place.has_blob(1000)
    expected = {
        "bytes=0-0": (0, 1),
        "bytes=10-19": (10, 20),
        "bytes=990-": (990, 1000),
        "bytes=-10": (990, 1000),
        "bytes=500-5000": (500, 1000),
    }
    for asked, (start, end) in expected.items():
        reply = _ranged(place, content.digest, asked)
        assert reply.status == 206, asked
        assert reply.body == content.data[start:end], asked
        assert reply.header("Content-Range") == f"bytes {start}-{end - 1}/1000", asked


def blob_range_past_end(place: Place) -> None:
    """A range that begins past the end of a blob is 416."""
    content = place.has_blob(1000)
    assert _ranged(place, content.digest, "bytes=1000-1009").status == 416


def _ranged(place: Place, digest: str, asked: str) -> Reply:
    reply = place.client.get(f"{place.base}/blobs/{digest}", {"Range": asked})
    if reply.status == 200:
        raise Unsupported("ranges")
    return reply


def manifest_by_tag(place: Place) -> None:
    """GET of a manifest by tag gives its bytes, type, size and digest."""
    assert_pullable(place.client, place.repository, place.has_image("v1"), "v1")


def manifest_by_digest(place: Place) -> None:
    """GET of a manifest by digest gives its bytes, type, size and digest."""
    assert_pullable(place.client, place.repository, place.has_image())


def manifest_head(place: Place) -> None:
    """HEAD of a manifest gives type, size and digest."""
    image = place.has_image("v1")
    for reference in ("v1", image.digest):
        target = f"{place.base}/manifests/{reference}"
        reply = place.client.head(target, ACCEPT_ALL).expect(200)
        assert reply.body == b""
        assert reply.header("Docker-Content-Digest") == image.digest
        assert reply.header("Content-Type") == image.media_type
        assert reply.header("Content-Length") == str(len(image.data))


def manifest_one_type_accepted(place: Place) -> None:
    """GET of a manifest with its own type as the only one accepted gives it."""
    image = place.has_image("v1")
    target = f"{place.base}/manifests/v1"
    reply = place.client.get(target, {"Accept": image.media_type}).expect(200)
    assert reply.body == image.data


def manifest_missing(place: Place) -> None:
    """GET and HEAD of a manifest that isn't there are 404, by tag and by digest."""
    place.has_image("v1")
    for reference in ("v2", MISSING):
        place.client.head(f"{place.base}/manifests/{reference}", ACCEPT_ALL).expect(404)
        reply = pull(place.client, place.repository, reference).expect(404)
        assert reply.error_codes == ["MANIFEST_UNKNOWN"]


def manifest_of_missing_repository(place: Place) -> None:
    """GET of a manifest of a repository that isn't there is 404."""
    reply = pull(place.client, place.repository, "v1").expect(404)
    assert set(reply.error_codes) <= {"MANIFEST_UNKNOWN", "NAME_UNKNOWN"}
    assert reply.error_codes


def manifest_unchanged(place: Place) -> None:
    """If-None-Match with a manifest's ETag is 304 without a body."""
    place.has_image("v1")
    target = f"{place.base}/manifests/v1"
    etag = place.client.get(target, ACCEPT_ALL).expect(200).header("ETag")
    if etag is None:
        raise Unsupported("entity tags")
    reply = place.client.get(target, {**ACCEPT_ALL, "If-None-Match": etag}).expect(304)
    assert reply.body == b""
    place.client.get(target, {**ACCEPT_ALL, "If-None-Match": '"other"'}).expect(200)


def error_form(place: Place) -> None:
    """An error's body is the spec's JSON."""
    reply = pull(place.client, place.repository, "v1").expect(404)
    (error,) = reply.json()["errors"]
    assert {"code", "message"} <= error.keys()
    assert str(reply.header("Content-Type")).startswith("application/json")


def pull_sha512_manifest(place: Place) -> None:
    """Content named by sha512 throughout is pushed and pulled under those digests."""
    image = oci_image(place.repository, algorithm="sha512")
    try:
        for content in image.blobs:
            place.push_blob(content)
        put_manifest(place.client, place.repository, image).expect(201)
    except UnexpectedReply as error:
        raise Unsupported("sha512") from error
    assert_pullable(place.client, place.repository, image)


def _bad_digest(name: str, digest: str) -> Check:
    def check(place: Place) -> None:
        place.has_blob()
        place.blob(digest).expect(400, 404)

    return named(check, f"blob_digest_{name}", "A blob's digest that isn't one is refused.")


def _bad_reference(name: str, reference: str) -> Check:
    def check(place: Place) -> None:
        place.has_image("v1")
        pull(place.client, place.repository, reference).expect(400, 404)

    claim = "A manifest's reference that is neither tag nor digest is refused."
    return named(check, f"manifest_reference_{name}", claim)


def _bad_name(name: str, component: str) -> Check:
    def check(place: Place) -> None:
        pull(place.client, f"{place.repository}/{component}", "v1").expect(400, 404)

    return named(check, f"name_{name}", "A repository's name that isn't one is refused.")


def _pull_kind(kind: Kind) -> Check:
    def check(place: Place) -> None:
        content: Manifest = place.has(kind.build(place.repository), "v1")
        assert_pullable(place.client, place.repository, content, "v1")

    claim = f"Every byte of an {kind.name} is pulled, by tag and by digest."
    return named(check, f"pull_{kind.name.replace('-', '_')}", claim)


CHECKS: tuple[Check, ...] = (
    base,
    blob_get,
    blob_head,
    blob_head_then_get,
    blob_get_empty,
    blob_missing,
    blob_of_neighbour,
    *(_bad_digest(*row) for row in BAD_DIGESTS.items()),
    blob_range,
    blob_range_past_end,
    manifest_by_tag,
    manifest_by_digest,
    manifest_head,
    manifest_one_type_accepted,
    manifest_missing,
    manifest_of_missing_repository,
    *(_bad_reference(*row) for row in BAD_REFERENCES.items()),
    *(_bad_name(*row) for row in BAD_NAMES.items()),
    manifest_unchanged,
    error_form,
    pull_sha512_manifest,
    *(_pull_kind(kind) for kind in KINDS),
)
