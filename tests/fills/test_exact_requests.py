"""What each kind of pull costs upstream: the exact requests, in order."""

import pytest

from tests.fills.calls import blob_path, call, causes, get, head, manifest_path
from tests.fills.in_process import InProcess
from tests.support.hostile import BLOBS, MANIFESTS, HostileUpstream
from tests.support.images import MANIFEST_TYPES, Manifest, oci_image
from tests.support.kinds import KINDS, Kind
from tests.support.layers import digest_of, random_blob
from tests.support.pushing import assert_pullable
from tests.support.registry_client import RegistryClient
from tests.support.schema1 import schema1_image
from tests.support.store_tree import visible_blobs

TAG = manifest_path("app", "v1")
ACCEPTS = [None, "", "*/*", "text/html", *MANIFEST_TYPES]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_cold_tag(upstream: HostileUpstream, replica: InProcess, method: str) -> None:
    """A cold tag costs the proof of the right and one GET, for a HEAD too; a second tag only the
    GET; what is here by then costs nothing, by tag or by digest.
    """
    image = upstream.contents.add("app", oci_image(), "v1")
    upstream.contents.repository("app").tags["v2"] = image.digest
    client = replica.client
    with causes(upstream, head(TAG), get(TAG)):
        client.request(method, TAG).expect(200)
    with causes(upstream, get(manifest_path("app", "v2"))):
        client.request(method, manifest_path("app", "v2")).expect(200)
    with causes(upstream):
        for path in (TAG, manifest_path("app", image.digest)):
            assert client.get(path).expect(200).body == image.data
            assert client.head(path).expect(200).header("Docker-Content-Digest") == image.digest


def test_a_head_of_a_blob_downloads_nothing(upstream: HostileUpstream, replica: InProcess) -> None:
    """F28: a HEAD of a blob that isn't here asks the primary with a HEAD, and no more."""
    content = upstream.contents.add_blob("app", random_blob(200_000))
    missing = blob_path("app", random_blob(1).digest)
    path = blob_path("app", content.digest)
    replica.client.head(path).expect(200)
    with causes(upstream, head(path)):
        reply = replica.client.head(path).expect(200)
    assert reply.header("Content-Length") == "200000"
    assert reply.header("Docker-Content-Digest") == content.digest
    with causes(upstream, head(missing, 404)):
        replica.client.head(missing).expect(404)
    assert upstream.sent_bytes(BLOBS) == 0
    assert visible_blobs(replica.store) == {}


def test_a_layer_in_a_second_repository(upstream: HostileUpstream, replica: InProcess) -> None:
    """A blob that is here under one repository costs another one HEAD and not a byte."""
    content = random_blob(200_000)
    paths = [blob_path(name, content.digest) for name in ("app", "other")]
    upstream.contents.add("other", oci_image(), "v1")
    for name in ("app", "other"):
        upstream.contents.add_blob(name, content)
    replica.client.get(paths[0]).expect(200)
    replica.client.get(manifest_path("other", "v1")).expect(200)
    with causes(upstream, head(paths[1])):
        assert replica.client.get(paths[1]).expect(200).body == content.data
    with causes(upstream):
        assert replica.client.get(paths[1]).expect(200).body == content.data


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_costs_each_part_once(
    upstream: HostileUpstream, replica: InProcess, kind: Kind
) -> None:
    """Every kind of content arrives byte for byte, each part fetched once; and it is served with
    the primary gone.
    """
    content = upstream.contents.add("app", kind.build("parts"), "v1")
    with causes_once(upstream, content):
        assert_pullable(replica.client, "app", content, "v1")
    upstream.cut()
    assert_pullable(replica.client, "app", content, "v1")


def causes_once(upstream: HostileUpstream, content: Manifest) -> "OnceEach":
    paths = [TAG, *(manifest_path("app", each.digest) for each in content.all_manifests())]
    paths.remove(manifest_path("app", content.digest))  # it came with the tag
    paths += [blob_path("app", each.digest) for each in content.all_blobs()]
    return OnceEach(upstream, sorted([head(TAG), *map(get, paths)]))


class OnceEach:
    """Checks that the block causes these requests, in whatever order."""

    def __init__(self, upstream: HostileUpstream, expected: list[str]) -> None:
        self._upstream = upstream
        self._expected = expected
        self._before = len(upstream.seen)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        assert sorted(map(call, self._upstream.seen[self._before :])) == self._expected


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "512" not in str(kind)], ids=str)
def test_one_type_for_every_accept(
    upstream: HostileUpstream, replica: InProcess, kind: Kind
) -> None:
    """C19: whatever a client accepts, the same digest comes with the same bytes and type."""
    content = upstream.contents.add("app", kind.build("types"), "v1")
    for accept in ACCEPTS:
        for path in (TAG, manifest_path("app", content.digest)):
            headers = {} if accept is None else {"Accept": accept}
            reply = replica.client.get(path, headers).expect(200)
            assert reply.body == content.data
            assert reply.header("Content-Type") == content.media_type
    assert upstream.count("GET", MANIFESTS) == 1


def test_manifests_with_sha512_digests(upstream: HostileUpstream, replica: InProcess) -> None:
    """A manifest under a sha512 digest is served, kept and checked as such."""
    image = upstream.contents.add("app", oci_image("long", algorithm="sha512"))
    path = manifest_path("app", image.digest)
    for _ in range(2):
        reply = replica.client.get(path).expect(200)
        assert reply.body == image.data
        assert reply.header("Docker-Content-Digest") == image.digest
    assert upstream.count("GET", path) == 1
    assert image.digest in visible_blobs(replica.store)


@pytest.mark.parametrize("is_by_tag", [True, False])
def test_schema1_is_relayed_and_never_kept(
    upstream: HostileUpstream, replica: InProcess, is_by_tag: bool
) -> None:
    """C19: Docker schema 1 passes byte for byte, each time from the primary."""
    image = upstream.contents.add("app", schema1_image("app", "v1"), "v1")
    path = TAG if is_by_tag else manifest_path("app", image.digest)
    for expected in ([head(path), get(path)], [get(path)]):
        with causes(upstream, *expected):
            reply = replica.client.get(path).expect(200)
        assert reply.body == image.data
        assert reply.header("Content-Type") == image.media_type
        assert reply.header("Docker-Content-Digest") == image.digest
    assert digest_of(image.data) != image.digest
    assert visible_blobs(replica.store) == {}


def test_a_sparse_child_is_the_primarys_404(upstream: HostileUpstream, replica: InProcess) -> None:
    """A child that an index names and the primary lacks is 404, and asked for again only later."""
    index = next(kind for kind in KINDS if "sparse" in str(kind)).build("sparse")
    upstream.contents.add("app", index, "v1")
    client: RegistryClient = replica.client
    client.get(TAG).expect(200)
    child = manifest_path("app", index.absent[0].digest)
    with causes(upstream, get(child, 404)):
        assert client.get(child).expect(404).error_codes == ["MANIFEST_UNKNOWN"]
        client.get(child).expect(404)
