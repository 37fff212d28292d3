"""Every way to upload a blob: relayed step by step, and in the store when it is accepted."""

import pytest

from tests.fills.calls import blob_path
from tests.fills.in_process import InProcess
from tests.push.uploads import OCTETS, START, begin, chunked, finish, patch, relays
from tests.support.hostile import HostileUpstream, Status
from tests.support.layers import Blob, blob, random_blob, random_bytes
from tests.support.pushing import location
from tests.support.store_tree import linked_blobs, visible_blobs

SIZE = 300_000
POST = f"POST {START} 202"
PUT = f"PUT {START}{{session}} 201"
PATCH = f"PATCH {START}{{session}} 202"


@pytest.fixture
def content() -> Blob:
    return random_blob(SIZE, "pushed")


def assert_kept(upstream: HostileUpstream, replica: InProcess, content: Blob) -> None:
    """Check that the blob is there and here, and costs not a byte to pull."""
    assert upstream.contents.repository("app").blobs[content.digest] == content.data
    assert content.digest in visible_blobs(replica.store)
    assert linked_blobs(replica.store, "app") == {content.digest}
    path = blob_path("app", content.digest)
    assert replica.client.get(path).expect(200).body == content.data
    assert upstream.count("GET", path) == 0
    assert replica.spooled == []


def test_post_then_put(upstream: HostileUpstream, replica: InProcess, content: Blob) -> None:
    """A session and one PUT with everything."""
    with relays(upstream, POST, PUT):
        reply = finish(replica.client, begin(replica.client), content, content.data).expect(201)
    assert reply.header("Location") == blob_path("app", content.digest)
    assert reply.header("Docker-Content-Digest") == content.digest
    assert_kept(upstream, replica, content)


def test_one_post(upstream: HostileUpstream, replica: InProcess, content: Blob) -> None:
    """One POST with digest and everything."""
    target = f"{START}?digest={content.digest}"
    with relays(upstream, f"POST {START} 201"):
        replica.client.request("POST", target, OCTETS, content.data).expect(201)
    assert_kept(upstream, replica, content)


def test_chunks(upstream: HostileUpstream, replica: InProcess, content: Blob) -> None:
    """A session, chunks with Content-Range, and a PUT without a body."""
    client, size = replica.client, 100_000
    with relays(upstream, POST, PATCH, PATCH, PATCH, PUT):
        target = begin(client)
        for start in range(0, SIZE, size):
            reply = patch(client, target, content.data[start : start + size], start).expect(202)
            assert reply.header("Range") == f"0-{start + size - 1}"
            assert reply.header("Docker-Upload-UUID")
            target = location(reply)
        finish(client, target, content).expect(201)
    ranges = [each.fields.get("Content-Range") for each in upstream.requests("PATCH")]
    assert ranges == ["0-99999", "100000-199999", "200000-299999"]
    assert_kept(upstream, replica, content)


def test_chunks_that_end_in_the_put(
    upstream: HostileUpstream, replica: InProcess, content: Blob
) -> None:
    """A session, one chunk, and a PUT with the rest."""
    with relays(upstream, POST, PATCH, PUT):
        target = location(patch(replica.client, begin(replica.client), content.data[:1000]))
        finish(replica.client, target, content, content.data[1000:]).expect(201)
    assert_kept(upstream, replica, content)


def test_a_stream(upstream: HostileUpstream, replica: InProcess, content: Blob) -> None:
    """A session and one PATCH of unknown length, as docker and containerd push."""
    headers, body = chunked(content.data)
    with relays(upstream, POST, PATCH, PUT):
        reply = replica.client.request("PATCH", begin(replica.client), headers, body).expect(202)
        finish(replica.client, location(reply), content).expect(201)
    (streamed,) = upstream.requests("PATCH")
    assert streamed.fields.get("Transfer-Encoding") == "chunked"
    assert "Content-Length" not in streamed.fields
    assert_kept(upstream, replica, content)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_tiny_blobs(upstream: HostileUpstream, replica: InProcess, size: int) -> None:
    """Blobs of no byte and of one, of whose length Range tells the same."""
    content = random_blob(size, "tiny")
    target = location(patch(replica.client, begin(replica.client), content.data).expect(202))
    finish(replica.client, target, content).expect(201)
    assert upstream.contents.repository("app").blobs[content.digest] == content.data
    path = blob_path("app", content.digest)
    assert replica.client.get(path).expect(200).body == content.data


def test_a_chunk_out_of_order(upstream: HostileUpstream, replica: InProcess, content: Blob) -> None:
    """A chunk that doesn't follow is the primary's 416, with what it has; the upload goes on."""
    client = replica.client
    target = location(patch(client, begin(client), content.data[:1000], 0).expect(202))
    refused = patch(client, target, content.data[5000:6000], 5000).expect(416)
    assert refused.header("Range") == "0-999"
    target = location(patch(client, location(refused), content.data[1000:], 1000).expect(202))
    finish(client, target, content).expect(201)
    assert_kept(upstream, replica, content)


def test_the_status_of_an_upload(
    upstream: HostileUpstream, replica: InProcess, content: Blob
) -> None:
    """GET of a session tells what the primary has, and where it goes on."""
    client = replica.client
    target = location(patch(client, begin(client), content.data[:1000]).expect(202))
    with relays(upstream, f"GET {START}{{session}} 204"):
        reply = client.get(target).expect(204)
    assert reply.header("Range") == "0-999"
    target = location(patch(client, location(reply), content.data[1000:], 1000).expect(202))
    finish(client, target, content).expect(201)
    assert_kept(upstream, replica, content)


def test_a_cancelled_upload(upstream: HostileUpstream, replica: InProcess, content: Blob) -> None:
    """DELETE of a session ends it there, and its copy here."""
    client = replica.client
    target = location(patch(client, begin(client), content.data[:1000]).expect(202))
    assert replica.spooled
    with relays(upstream, f"DELETE {START}{{session}} 204"):
        client.delete(target).expect(204)
    assert replica.spooled == []
    finish(client, target, content, content.data).expect(404)
    assert visible_blobs(replica.store) == {}


def test_a_wrong_digest_is_the_primarys_400(
    upstream: HostileUpstream, replica: InProcess, content: Blob
) -> None:
    """C1: an upload that isn't what it is called is refused there, and nothing of it is here."""
    wrong = blob(content.data[:-1])
    reply = finish(replica.client, begin(replica.client), wrong, content.data).expect(400)
    assert reply.error_codes == ["DIGEST_INVALID"]
    assert visible_blobs(replica.store) == {}
    assert replica.spooled == []


def test_what_the_primary_believes_isnt_enough(
    upstream: HostileUpstream, replica: InProcess, content: Blob
) -> None:
    """C1: a primary that accepts an upload under another's digest makes no such blob here."""
    other = random_blob(10, "other")
    client = replica.client
    target = begin(client)
    accepted = (("Docker-Content-Digest", other.digest), ("Location", "/v2/app/blobs/x"))
    upstream.inject(Status(201, fields=accepted), method="PUT")
    finish(client, target, other, content.data).expect(201)
    assert visible_blobs(replica.store) == {}
    assert linked_blobs(replica.store, "app") == set()


@pytest.mark.parametrize("is_there", [True, False])
def test_mounts(
    upstream: HostileUpstream, replica: InProcess, content: Blob, is_there: bool
) -> None:
    """A mount that succeeds is linked here; one that doesn't is a session like any other."""
    upstream.contents.add_blob("source", content if is_there else random_blob(1))
    replica.client.head(blob_path("source", content.digest))
    query = f"mount={content.digest}&from=source"
    status = 201 if is_there else 202
    with relays(upstream, f"POST {START} {status}"):
        reply = replica.client.request("POST", f"{START}?{query}").expect(status)
    assert upstream.seen[-1].target == f"{START}?{query}"
    assert linked_blobs(replica.store, "app") == ({content.digest} if is_there else set())
    if not is_there:
        finish(replica.client, location(reply), content, content.data).expect(201)
        assert_kept(upstream, replica, content)


def test_two_uploads_of_one_blob(
    upstream: HostileUpstream, replica: InProcess, content: Blob
) -> None:
    """Two sessions side by side don't mix."""
    client = replica.client
    other = blob(random_bytes(SIZE, "another"))
    targets = {each.digest: begin(client) for each in (content, other)}
    for start in range(0, SIZE, 100_000):
        for each in (content, other):
            reply = patch(client, targets[each.digest], each.data[start : start + 100_000], start)
            targets[each.digest] = location(reply.expect(202))
    for each in (content, other):
        finish(client, targets[each.digest], each).expect(201)
    assert set(visible_blobs(replica.store)) == {content.digest, other.digest}
