"""What an accepted write changes here, at once; and what the primary's refusals look like."""

import pytest

from tests.conftest import Opened
from tests.fills.calls import blob_path, causes, get, head, manifest_path
from tests.fills.in_process import InProcess, in_process
from tests.push.uploads import START, begin, finish, relays
from tests.support.accounts import Accounts
from tests.support.hostile import (
    BasicLogin,
    HostileUpstream,
    Page,
    Settings,
    Status,
)
from tests.support.images import Manifest, oci_image
from tests.support.layers import random_blob
from tests.support.pushing import push, put_manifest
from tests.support.store_tree import linked_blobs, linked_manifests, tags

TAG = manifest_path("app", "v1")
ALLOWED = {
    "host",
    "accept",
    "accept-encoding",
    "user-agent",
    "via",
    "content-type",
    "content-length",
    "expect",
}


@pytest.fixture
def image(replica: InProcess) -> Manifest:
    """An image that was pushed through the replica, by somebody who has the right to pull."""
    image = oci_image("effects")
    push(replica.client, "app", image, "v1")
    replica.client.head(TAG).expect(200)
    return image


def test_a_push_fetches_nothing_back(
    upstream: HostileUpstream, replica: InProcess, image: Manifest
) -> None:
    """What was pushed is pulled without a request: tag, manifest and blobs; without the primary
    as well.
    """
    upstream.cut()
    for path in (TAG, manifest_path("app", image.digest)):
        reply = replica.client.get(path).expect(200)
        assert reply.body == image.data
        assert reply.header("Content-Type") == image.media_type
    for content in image.all_blobs():
        path = blob_path("app", content.digest)
        assert replica.client.get(path).expect(200).body == content.data


@pytest.mark.parametrize("is_by_tag", [True, False])
def test_a_manifest_put(upstream: HostileUpstream, replica: InProcess, is_by_tag: bool) -> None:
    """A manifest goes by one PUT, byte for byte, under its tag or digest."""
    upstream.settings.checks_blobs = False
    image = oci_image("put")
    path = TAG if is_by_tag else manifest_path("app", image.digest)
    with relays(upstream, f"PUT {path} 201"):
        reply = put_manifest(replica.client, "app", image, "v1" if is_by_tag else None).expect(201)
    assert reply.header("Docker-Content-Digest") == image.digest
    assert reply.header("Location") == manifest_path("app", image.digest)
    stored = upstream.contents.repository("app").manifests[image.digest]
    assert (stored.data, stored.media_type) == (image.data, image.media_type)
    assert linked_manifests(replica.store, "app") == {image.digest}
    assert tags(replica.store, "app") == ({"v1": image.digest} if is_by_tag else {})


def test_absence_is_forgotten_by_a_push(upstream: HostileUpstream, replica: InProcess) -> None:
    """What was 404 a moment ago is there once it was pushed through us."""
    upstream.settings.checks_blobs = False
    image, content = oci_image("absent"), random_blob(1000)
    paths = [manifest_path("app", image.digest), blob_path("app", content.digest), TAG]
    here = upstream.contents.add_blob("app", random_blob(1))
    replica.client.get(blob_path("app", here.digest)).expect(200)
    for path in paths:
        replica.client.get(path).expect(404)
    finish(replica.client, begin(replica.client), content, content.data).expect(201)
    put_manifest(replica.client, "app", image, "v1").expect(201)
    for path in paths:
        replica.client.get(path).expect(200)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_deleted_manifest(
    upstream: HostileUpstream, replica: InProcess, image: Manifest, status: int
) -> None:
    """A manifest deleted through us is gone here at once, with the tags that named it."""
    path = manifest_path("app", image.digest)
    if status != 202:
        upstream.inject(Status(status), method="DELETE")
    with relays(upstream, f"DELETE {path} {status}"):
        replica.client.delete(path).expect(status)
    assert linked_manifests(replica.store, "app") == set()
    assert tags(replica.store, "app") == {}
    upstream.contents.repository("app").manifests.clear()
    with causes(upstream, get(path, 404), get(TAG, 404)):
        replica.client.get(path).expect(404)
        replica.client.get(TAG).expect(404)


def test_a_deleted_tag(upstream: HostileUpstream, replica: InProcess, image: Manifest) -> None:
    """A tag deleted through us is gone here at once; its manifest stays."""
    with relays(upstream, f"DELETE {TAG} 202"):
        replica.client.delete(TAG).expect(202)
    assert tags(replica.store, "app") == {}
    with causes(upstream, get(TAG, 404)):
        replica.client.get(TAG).expect(404)
        replica.client.get(manifest_path("app", image.digest)).expect(200)


def test_a_deleted_blob(upstream: HostileUpstream, replica: InProcess, image: Manifest) -> None:
    """A blob deleted through us can't be read through that repository from then on."""
    content = image.blobs[1]
    path = blob_path("app", content.digest)
    with relays(upstream, f"DELETE {path} 202"):
        replica.client.delete(path).expect(202)
    assert content.digest not in linked_blobs(replica.store, "app")
    with causes(upstream, head(path, 404)):
        replica.client.get(path).expect(404)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 500])
def test_a_deletion_that_is_refused(
    upstream: HostileUpstream, replica: InProcess, image: Manifest, status: int
) -> None:
    """What the primary doesn't delete stays here."""
    upstream.inject(Status(status), method="DELETE")
    replica.client.delete(TAG).expect(status)
    assert tags(replica.store, "app") == {"v1": image.digest}


REFUSALS = {
    "digest": (Status(400, "DIGEST_INVALID"), 400, "DIGEST_INVALID"),
    "denied": (Status(403), 403, "DENIED"),
    "blob": (Status(404, "MANIFEST_BLOB_UNKNOWN"), 404, "MANIFEST_BLOB_UNKNOWN"),
    "method": (Status(405, "UNSUPPORTED"), 405, "UNSUPPORTED"),
    "quota": (Status(412, "DENIED"), 412, "DENIED"),
    "size": (Status(413, "SIZE_INVALID"), 413, "SIZE_INVALID"),
    "rate": (Status(429), 429, "TOOMANYREQUESTS"),
    "failing": (Status(500, "UNKNOWN"), 500, "UNKNOWN"),
    "page": (Page(502), 502, "UNKNOWN"),
    "text": (Page(404, b"nothing here", "text/plain"), 404, "UNKNOWN"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_the_primarys(
    upstream: HostileUpstream, replica: InProcess, name: str
) -> None:
    """A write that is refused gets the primary's status and code, always as the spec's JSON."""
    fault, status, code = REFUSALS[name]
    refusal = upstream.inject(fault, method="PUT")
    reply = put_manifest(replica.client, "app", oci_image(), "v1").expect(status)
    assert refusal.fired == 1
    assert reply.error_codes == [code]
    assert (reply.header("Content-Type") or "").startswith("application/json")
    assert linked_manifests(replica.store, "app") == set()


def test_headers_that_pass(upstream: HostileUpstream, replica: InProcess) -> None:
    """Settled 31: of the primary's headers those pass that a client may need, and no others."""
    passing = {
        "Docker-Upload-UUID": "uuid",
        "OCI-Chunk-Min-Length": "100",
        "Range": "0-99",
        "RateLimit-Limit": "100;w=60",
        "RateLimit-Remaining": "3",
        "Retry-After": "7",
        "Warning": '299 - "old"',
    }
    odd = {
        "Set-Cookie": "a=b",
        "X-Internal": "10.0.0.1",
        "Server": "primary/1",
        "X-Ms-Copy-Source": "https://storage/private",
        "Link": '<http://elsewhere/>; rel="next"',
    }
    location = ("Location", "/v2/app/blobs/uploads/1")
    added = upstream.inject(
        Status(202, fields=(location, *passing.items(), *odd.items())), method="POST"
    )
    reply = replica.client.request("POST", START).expect(202)
    assert added.fired == 1
    assert {name: reply.header(name) for name in passing} == passing
    assert reply.header("Server") == "proxima"
    assert [reply.header(name) for name in odd if name != "Server"] == [None] * 4


def test_the_callers_login_goes_on_unchanged(
    opened: Opened, upstream: HostileUpstream, accounts: Accounts
) -> None:
    """T24: a write carries the caller's own Authorization, byte for byte, in every step."""
    upstream.settings = Settings(login=BasicLogin(accounts))
    replica = opened(in_process(upstream.url, primary={"username": "admin"}))
    login = "bAsIc YWxpY2U6YWxpY2UncyBzZWNyZXQ="
    headers = {"Authorization": login}
    upstream.forget()
    reply = replica.client.request("POST", "/v2/alice/app/blobs/uploads/", headers).expect(202)
    replica.client.request("PATCH", reply.header("Location") or "", headers, b"data").expect(202)
    replica.client.request("DELETE", manifest_path("alice/app", "v1"), headers).expect(404)
    assert [each.fields.get("Authorization") for each in upstream.seen] == [login] * 3


def test_no_other_header_goes_upstream(upstream: HostileUpstream, replica: InProcess) -> None:
    """A write's request upstream has the headers that are written here, and no others."""
    upstream.settings.checks_blobs = False
    image = oci_image("headers")
    odd = {"Content-Type": image.media_type, "Cookie": "a=b", "X-Forwarded-For": "1.2.3.4"}
    odd |= {"Connection": "Authorization", "TE": "trailers", "X-HTTP-Method-Override": "DELETE"}
    upstream.forget()
    replica.client.request("PUT", TAG, odd, image.data).expect(201)
    (seen,) = upstream.seen
    assert {name.lower() for name, _ in seen.fields.pairs} <= ALLOWED
    assert seen.fields.get("Content-Type") == image.media_type
    assert upstream.malformed == []
