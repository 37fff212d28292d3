"""What is pushed through us is here: not a byte of it is fetched, also when the push was bumpy."""

import pytest

from tests.conftest import Opened
from tests.fills.calls import blob_path, causes
from tests.fills.in_process import InProcess, in_process
from tests.push.uploads import OCTETS, begin, chunked, finish, patch
from tests.support.hostile import (
    UPLOADS,
    Cut,
    Header,
    HostileUpstream,
    RefuseEarly,
    Status,
)
from tests.support.layers import Blob, blob, random_blob, random_bytes
from tests.support.pushing import location
from tests.support.raw_http import raw_connection, request_bytes
from tests.support.store_tree import visible_blobs
from tests.support.waiting import wait_until

SIZE = 300_000
HALF = SIZE // 2


@pytest.fixture
def content() -> Blob:
    return random_blob(SIZE, "copied")


def assert_here(upstream: HostileUpstream, replica: InProcess, content: Blob) -> None:
    assert content.digest in visible_blobs(replica.store)
    path = blob_path("app", content.digest)
    replica.client.head(path).expect(200)  # proves the right to pull
    with causes(upstream):
        assert replica.client.get(path).expect(200).body == content.data


def assert_fetched(upstream: HostileUpstream, replica: InProcess, content: Blob) -> None:
    """Check that the blob isn't here yet, and that the primary has the right one."""
    assert content.digest not in visible_blobs(replica.store)
    path = blob_path("app", content.digest)
    assert replica.client.get(path).expect(200).body == content.data
    assert upstream.count("GET", path) == 1


def broken_patch(upstream: HostileUpstream, replica: InProcess, target: str, data: bytes) -> None:
    """Break a PATCH after it has sent *data*, of which the primary then has nothing."""
    head = request_bytes(
        "PATCH", target, replica.address, *OCTETS.items(), ("Content-Length", str(SIZE))
    )
    before = len(upstream.seen)
    with raw_connection(replica.address) as client:
        client.send(head + data)
        wait_until(
            lambda: len(upstream.seen) > before and upstream.seen[-1].body_bytes == len(data)
        )
        client.reset()
    wait_until(lambda: replica.replica._gate.in_flight == 0)


def test_a_broken_chunk_is_sent_again(
    upstream: HostileUpstream, replica: InProcess, content: Blob
) -> None:
    """Settled 29: what a broken PATCH left here beyond what the primary has is cut back when the
    client goes on where the primary says.
    """
    client = replica.client
    target = location(patch(client, begin(client), content.data[:1000], 0).expect(202))
    broken_patch(upstream, replica, target, content.data[1000:HALF])
    state = client.get(target).expect(204)
    assert state.header("Range") == "0-999"
    target = location(patch(client, location(state), content.data[1000:], 1000).expect(202))
    finish(client, target, content).expect(201)
    assert_here(upstream, replica, content)


def test_a_broken_chunk_is_sent_again_without_asking(
    upstream: HostileUpstream, replica: InProcess, content: Blob
) -> None:
    """Settled 29: the same where the client's Content-Range says where it goes on."""
    client = replica.client
    target = location(patch(client, begin(client), content.data[:1000], 0).expect(202))
    broken_patch(upstream, replica, target, content.data[1000:HALF])
    target = location(patch(client, target, content.data[1000:], 1000).expect(202))
    finish(client, target, content).expect(201)
    assert_here(upstream, replica, content)


def test_the_hash_decides(upstream: HostileUpstream, replica: InProcess, content: Blob) -> None:
    """Settled 29: a client that goes on without a word leaves a copy that isn't what was pushed: it
    is dropped, and the blob is fetched when it is asked for.
    """
    client = replica.client
    target = begin(client)
    broken_patch(upstream, replica, target, content.data[:HALF])
    target = location(patch(client, target, content.data).expect(202))
    finish(client, target, content).expect(201)
    assert replica.spooled == []
    assert_fetched(upstream, replica, content)


@pytest.mark.parametrize("status", [500, 503])
def test_a_chunk_that_the_primary_fails_on(
    upstream: HostileUpstream, replica: InProcess, content: Blob, status: int
) -> None:
    """Settled 29: a PATCH that failed at the primary is cut back like a broken one."""
    client = replica.client
    target = location(patch(client, begin(client), content.data[:1000], 0).expect(202))
    failing = upstream.inject(RefuseEarly(Status(status), HALF), method="PATCH")
    patch(client, target, content.data[1000:], 1000).expect(status)
    assert failing.fired == 1
    target = location(patch(client, target, content.data[1000:], 1000).expect(202))
    finish(client, target, content).expect(201)
    assert content.data == upstream.contents.repository("app").blobs[content.digest]
    assert_here(upstream, replica, content)


def test_a_lost_answer(upstream: HostileUpstream, replica: InProcess, content: Blob) -> None:
    """Settled 29: a PATCH that the primary has, though its answer was lost, isn't copied twice."""
    client = replica.client
    target = begin(client)
    lost = upstream.inject(Cut(-1), method="PATCH")
    patch(client, target, content.data[:HALF], 0).expect(503)
    assert lost.fired == 1
    upstream.settings.requires_upload_state = False
    state = client.get(target).expect(204)
    assert state.header("Range") == f"0-{HALF - 1}"
    target = location(patch(client, location(state), content.data[HALF:], HALF).expect(202))
    finish(client, target, content).expect(201)
    assert_here(upstream, replica, content)


def test_a_primary_that_doesnt_tell_what_it_has(
    upstream: HostileUpstream, replica: InProcess, content: Blob
) -> None:
    """A 202 without Range leaves the copy as it is."""
    client = replica.client
    silent = upstream.inject(Header("Range", None), method="PATCH", times=None)
    target = location(patch(client, begin(client), content.data[:HALF]).expect(202))
    target = location(patch(client, target, content.data[HALF:]).expect(202))
    finish(client, target, content).expect(201)
    assert silent.fired == 2
    assert_here(upstream, replica, content)


def test_a_whole_blob_that_is_offered_in_vain(
    upstream: HostileUpstream, replica: InProcess, content: Blob
) -> None:
    """A primary that answers a whole POST by a session has it sent again: that is kept."""
    client = replica.client
    session = begin(client)
    answer = Status(202, fields=(("Location", session), ("Range", "0-0")))
    upstream.inject(answer, method="POST", path=UPLOADS)
    target = f"/v2/app/blobs/uploads/?digest={content.digest}"
    reply = client.request("POST", target, OCTETS, content.data).expect(202)
    finish(client, location(reply), content, content.data).expect(201)
    assert_here(upstream, replica, content)


def test_a_push_beyond_the_budget(opened: Opened, upstream: HostileUpstream, content: Blob) -> None:
    """Settled 29: a push larger than `tee_budget` goes through whole; its copy is dropped."""
    replica = opened(in_process(upstream.url, store={"tee_budget": HALF}))
    headers, body = chunked(content.data)
    reply = replica.client.request("PATCH", begin(replica.client), headers, body).expect(202)
    finish(replica.client, location(reply), content).expect(201)
    assert replica.spooled == []
    assert_fetched(upstream, replica, content)
    small = random_blob(1000, "small")
    finish(replica.client, begin(replica.client), small, small.data).expect(201)
    assert_here(upstream, replica, small)


def test_a_push_that_is_not_kept_is_there_at_once(
    opened: Opened, upstream: HostileUpstream, content: Blob
) -> None:
    """A blob that was absent a moment ago is pulled after its push, though no copy is kept."""
    replica = opened(in_process(upstream.url, store={"tee_budget": HALF}))
    other = upstream.contents.add_blob("app", random_blob(10, "other"))
    replica.client.get(blob_path("app", other.digest)).expect(200)  # proves the right to pull
    replica.client.get(blob_path("app", content.digest)).expect(404)
    upstream.forget()
    finish(replica.client, begin(replica.client), content, content.data).expect(201)
    assert_fetched(upstream, replica, content)


@pytest.mark.parametrize("is_chunked", [True, False])
def test_sha512(upstream: HostileUpstream, replica: InProcess, is_chunked: bool) -> None:
    """A blob under a sha512 digest is kept, whether that was known from its start or not."""
    content = blob(random_bytes(SIZE, "long"), algorithm="sha512")
    client = replica.client
    if is_chunked:
        target = location(patch(client, begin(client), content.data).expect(202))
        finish(client, target, content).expect(201)
    else:
        target = f"/v2/app/blobs/uploads/?digest={content.digest}"
        client.request("POST", target, OCTETS, content.data).expect(201)
    assert_here(upstream, replica, content)


def test_a_copy_is_its_repositorys_own(
    upstream: HostileUpstream, replica: InProcess, content: Blob
) -> None:
    """C4: a blob pushed to one repository isn't readable through another."""
    finish(replica.client, begin(replica.client), content, content.data).expect(201)
    upstream.contents.add_blob("other", random_blob(1))
    replica.client.get(blob_path("other", content.digest)).expect(404)
