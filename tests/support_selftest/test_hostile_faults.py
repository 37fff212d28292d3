"""Each fault is seen by a client that looks at every byte, and counts that it was."""

import gzip
import time

import pytest

from tests.support import images
from tests.support.hostile import (
    BLOBS,
    MANIFESTS,
    Challenge,
    Cut,
    Framed,
    Gzipped,
    Header,
    Hold,
    IgnoredRange,
    MoreHeaders,
    NoLength,
    OtherBody,
    Page,
    Raw,
    Redirect,
    Resized,
    Slow,
    Stall,
    Status,
    UnaskedRange,
    WrongByte,
    WrongLength,
    hostile_upstream,
)
from tests.support.layers import random_blob
from tests.support.raw_http import Ending, exchange, raw_connection, request_bytes
from tests.support.registry_client import RegistryClient
from tests.support.trap import trap
from tests.support.waiting import NeverHappened, wait_until

SIZE = 300_000


@pytest.fixture
def content(upstream):
    return upstream.contents.add_blob("app", random_blob(SIZE))


@pytest.fixture
def target(content):
    return f"/v2/app/blobs/{content.digest}"


def get(upstream, target, *fields, method="GET"):
    data = request_bytes(method, target, upstream.address, *fields)
    return exchange(upstream.address, data, method=method)


@pytest.mark.parametrize("at_byte", [0, 1, SIZE // 2, SIZE - 1])
@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
def test_a_cut_ends_the_connection_at_its_byte(upstream, content, target, at_byte, reset):
    fault = upstream.inject(Cut(at_byte, reset=reset), path=BLOBS)
    with raw_connection(upstream.address) as connection:
        connection.send(request_bytes("GET", target, upstream.address))
        reply = connection.read_reply()
        assert reply.body == content.data[:at_byte]
        assert not reply.is_complete
        assert connection.wait_for_end() is (Ending.RESET if reset else Ending.CLOSED)
    assert fault.fired == 1
    assert upstream.seen[0].sent_bytes == at_byte


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
def test_a_cut_before_the_head_leaves_nothing(upstream, target, reset):
    fault = upstream.inject(Cut(-1, reset=reset))
    reply = get(upstream, target)
    assert (reply.status, fault.fired) == (0, 1)
    assert reply.ending is (Ending.RESET if reset else Ending.CLOSED)


def test_a_fault_is_met_as_often_and_by_whom_it_says(upstream, target):
    by_range = upstream.inject(Status(500), where=lambda request: "Range" in request.fields)
    later = upstream.inject(Status(503), method="GET", path=BLOBS, skip=1, times=2)
    always = upstream.inject(Status(429), method="HEAD", times=None)
    assert get(upstream, target, ("Range", "bytes=0-1")).status == 500
    assert [get(upstream, target).status for _ in range(3)] == [503, 503, 200]
    assert [get(upstream, target, method="HEAD").status for _ in range(3)] == [429] * 3
    assert (by_range.fired, later.fired, always.fired) == (1, 2, 3)
    upstream.heal()
    assert get(upstream, target, method="HEAD").status == 200


def test_a_fault_that_is_not_met_does_not_count(upstream):
    fault = upstream.inject(Status(500), path=MANIFESTS)
    assert get(upstream, "/v2/").status == 200
    with pytest.raises(NeverHappened):
        fault.wait_fired(timeout_seconds=0.05)


def test_a_held_answer_comes_when_it_is_released(upstream, content, target):
    fault = upstream.inject(Hold())
    with raw_connection(upstream.address) as connection:
        connection.send(request_bytes("GET", target, upstream.address))
        fault.wait_fired()
        assert connection.wait_for_end(0.1) is Ending.KEPT_OPEN
        fault.release()
        assert connection.read_reply().body == content.data


def test_a_stalled_body_goes_on_when_it_is_released(upstream, content, target):
    fault = upstream.inject(Stall(100_000))
    with raw_connection(upstream.address) as connection:
        connection.send(request_bytes("GET", target, upstream.address))
        fault.wait_fired()
        wait_until(lambda: upstream.seen[0].sent_bytes == 100_000)
        assert not upstream.seen[0].is_complete
        fault.release()
        reply = connection.read_reply()
    assert reply.body == content.data
    assert reply.is_complete


def test_a_slow_body_takes_its_time(upstream, target):
    upstream.inject(Slow(SIZE // 4, 0.05))
    started = time.monotonic()
    assert len(get(upstream, target).body) == SIZE
    assert time.monotonic() - started >= 0.15


def test_raw_bytes_come_as_they_are(upstream, target):
    upstream.inject(Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK"))
    reply = get(upstream, target)
    assert (reply.body, reply.is_complete) == (b"abc", True)
    assert b"HTTP/1.1 200 OK".startswith(reply.rest)


def test_more_is_declared_than_comes(upstream, content, target):
    upstream.inject(WrongLength(+10))
    reply = get(upstream, target)
    assert reply.header("Content-Length") == str(SIZE + 10)
    assert (reply.body, reply.is_complete) == (content.data, False)


def test_less_is_declared_than_comes(upstream, content, target):
    upstream.inject(WrongLength(-10))
    with raw_connection(upstream.address) as connection:
        connection.send(request_bytes("GET", target, upstream.address))
        assert connection.read_reply().body == content.data[:-10]
        assert connection.wait_for_end() is Ending.CLOSED
        assert connection.read(100) == content.data[-10:]


@pytest.mark.parametrize("framed", [Framed.BY_CHUNKS, Framed.BY_CLOSE])
def test_no_length_is_declared(upstream, content, target, framed):
    upstream.inject(NoLength(framed))
    reply = get(upstream, target)
    assert (reply.body, reply.is_complete) == (content.data, True)
    assert reply.header("Content-Length") == ""


def test_a_cut_body_of_chunks_has_no_end(upstream, target):
    upstream.inject(NoLength())
    upstream.inject(Cut(1000))
    reply = get(upstream, target)
    assert (len(reply.body), reply.is_complete) == (1000, False)


@pytest.mark.parametrize("at", [0, SIZE // 2, -1])
def test_one_byte_is_wrong(upstream, content, target, at):
    upstream.inject(WrongByte(at))
    body = get(upstream, target).body
    expected = bytearray(content.data)
    expected[at] ^= 0xFF
    assert body == expected


def test_one_byte_is_wrong_in_the_range_that_has_it_alone(upstream, content, target):
    upstream.inject(WrongByte(150), times=None)
    assert get(upstream, target, ("Range", "bytes=0-99")).body == content.data[:100]
    body = get(upstream, target, ("Range", "bytes=100-199")).body
    assert [i for i in range(100) if body[i] != content.data[100 + i]] == [50]


@pytest.mark.parametrize("by", [-5, 5])
def test_content_has_another_size_than_its_digest_says(upstream, target, by):
    upstream.inject(Resized(by))
    reply = get(upstream, target)
    assert (len(reply.body), reply.is_complete) == (SIZE + by, True)


def test_headers_lie(upstream, content, target):
    upstream.inject(Header("Docker-Content-Digest", "sha256:" + "0" * 64))
    upstream.inject(Header("ETag", None))
    upstream.inject(MoreHeaders((("Content-Type", "text/html"),)))
    reply = get(upstream, target)
    assert reply.header("Docker-Content-Digest") == "sha256:" + "0" * 64
    assert reply.header("ETag") == ""
    assert reply.fields.all("Content-Type") == ["application/octet-stream", "text/html"]


def test_a_manifest_disagrees_with_its_type(upstream):
    upstream.contents.add("app", images.oci_image(), "v1")
    ambiguous = b'{"schemaVersion": 2, "manifests": [], "layers": [], "config": {}}'
    upstream.inject(OtherBody(ambiguous, images.OCI_INDEX), path=MANIFESTS)
    upstream.inject(Header("Content-Type", images.OCI_INDEX), skip=1)
    first, second = (get(upstream, "/v2/app/manifests/v1") for _ in range(2))
    assert (first.body, first.header("Content-Type")) == (ambiguous, images.OCI_INDEX)
    assert second.header("Content-Type") == images.OCI_INDEX


def test_a_body_is_compressed_unasked(upstream, content, target):
    upstream.inject(Gzipped())
    reply = get(upstream, target)
    assert reply.header("Content-Encoding") == "gzip"
    assert gzip.decompress(reply.body) == content.data


def test_ranges_are_ignored_unasked_or_wrong(upstream, content, target):
    upstream.inject(IgnoredRange())
    reply = get(upstream, target, ("Range", "bytes=5-9"))
    assert (reply.status, reply.body) == (200, content.data)
    upstream.inject(UnaskedRange(100))
    reply = get(upstream, target)
    assert (reply.status, reply.body) == (206, content.data[:100])
    upstream.inject(Header("Content-Range", "bytes 6-10/99"))
    reply = get(upstream, target, ("Range", "bytes=5-9"))
    assert (reply.header("Content-Range"), reply.body) == ("bytes 6-10/99", content.data[5:10])


def test_ranges_are_not_supported(upstream, target):
    upstream.settings.has_ranges = False
    assert get(upstream, target, ("Range", "bytes=5-9")).status == 200


@pytest.mark.parametrize("status", [400, 401, 403, 404, 412, 429, 451, 500, 502, 503, 504])
def test_statuses_carry_the_specs_body(upstream, target, status):
    fault = upstream.inject(Status(status, fields=(("Retry-After", "7"),)))
    reply = RegistryClient(upstream.url).get(target)
    assert (reply.status, fault.fired) == (status, 1)
    assert reply.error_codes
    assert reply.header("Retry-After") == "7"


def test_a_404_that_is_not_the_registrys(upstream, target):
    upstream.inject(Page(404))
    upstream.inject(Page(404, b"404 page not found\n", "text/plain"), skip=1)
    assert get(upstream, target).header("Content-Type") == "text/html"
    assert get(upstream, target).body == b"404 page not found\n"


def test_a_redirect_leads_to_storage_that_records_who_comes(upstream, content, target):
    with hostile_upstream() as storage:
        storage.contents.objects["/bucket/object"] = content.data
        upstream.inject(Redirect(f"{storage.url}/bucket/object?signature=x"))
        reply = get(upstream, target, ("Authorization", "Basic abc"))
        assert reply.status == 307
        path = reply.header("Location").removeprefix(storage.url)
        assert get(storage, path, ("Range", "bytes=0-9")).body == content.data[:10]
        assert "Authorization" in upstream.seen[0].fields
        assert "Authorization" not in storage.seen[0].fields


def test_a_challenge_names_an_evil_realm_where_nobody_comes(upstream, target):
    with trap() as evil:
        upstream.inject(Challenge(f'Bearer realm="{evil.url}/token",service="x"'))
        reply = get(upstream, target)
        assert (reply.status, evil.connections) == (401, 0)
        assert evil.url in reply.header("WWW-Authenticate")


def test_a_trap_tells_who_came(opened):
    evil = opened(trap())
    with raw_connection(evil.address) as connection:
        connection.send(b"hello")
        wait_until(lambda: evil.received == b"hello")
    assert evil.connections == 1


def test_faults_add_up_in_the_order_in_which_they_were_set(upstream, target):
    upstream.inject(Status(429))
    upstream.inject(Header("Retry-After", "3"))
    reply = get(upstream, target)
    assert (reply.status, reply.header("Retry-After")) == (429, "3")
