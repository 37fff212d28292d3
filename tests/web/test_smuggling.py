"""One request in, at most one equal request out; what can be read in two ways goes nowhere."""

import json
from collections.abc import Iterator

import pytest

from tests.conftest import require
from tests.support.http1 import Chunked, Length, request_framing
from tests.support.images import OCI_INDEX, OCI_MANIFEST, oci_image, oci_index
from tests.support.layers import random_blob
from tests.support.raw_http import Ending, exchange, raw_connection, request_bytes
from tests.support.registry_client import RegistryClient
from tests.support.waiting import wait_until
from tests.web.conftest import REPOSITORY, Place
from tests.web.corpus import HIDDEN_PATH, HIDING, HOST, REFUSED, wire
from tests.web.fronts import FRONTS, front


@pytest.fixture(scope="module", params=["", *FRONTS], ids=["directly", *FRONTS])
def address(request, module_place, tmp_path_factory) -> Iterator[str]:
    """The replica itself, or a front end before it."""
    if not request.param:
        yield module_place.served.address
        return
    require(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    with front(request.param, module_place.served.address, folder) as before:
        yield before


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_requests_get_400_and_a_closed_connection(place: Place, name: str):
    """C10, T8: refused in the spec's form; neither it nor what follows it reaches the primary."""
    method = "HEAD" if name.startswith("HEAD") else "GET"
    with raw_connection(place.served.address) as connection:
        connection.send(REFUSED[name] + wire(target=HIDDEN_PATH))
        reply = connection.read_reply(method)
        ending = connection.wait_for_end()
    assert (reply.status, reply.is_complete, reply.rest) == (400, True, b"")
    assert reply.header("Content-Type").startswith("application/json")
    assert reply.header("X-Request-Id")
    if method != "HEAD":
        assert json.loads(reply.body)["errors"][0]["code"] in ("UNSUPPORTED", "NAME_INVALID")
    assert ending is not Ending.KEPT_OPEN
    assert (place.upstream.seen, place.upstream.malformed) == ([], [])


@pytest.mark.parametrize("name", HIDING)
def test_no_request_hides_in_another(place: Place, address: str, name: str):
    """C10, T8: alone or behind nginx or haproxy, what is hidden in a message stays there."""
    with raw_connection(address, timeout_seconds=5) as connection:
        connection.send(HIDING[name])
        status = connection.read_reply().status
    assert status == 0 or status >= 400
    probe = exchange(address, request_bytes("GET", "/v2/probe/app/tags/list", HOST))
    assert probe.status == 404
    paths = [seen.path for seen in place.upstream.seen]
    assert "/v2/probe/app/tags/list" in paths
    assert HIDDEN_PATH not in paths
    assert place.upstream.malformed == []


def test_a_chunk_that_turns_out_malformed_ends_the_upload(place: Place):
    """C10: chunks after a good head are read as strictly; the primary gets no complete request."""
    head = wire("PUT", fields="Content-Type: a/b\r\nTransfer-Encoding: chunked\r\n")
    with raw_connection(place.served.address) as connection:
        connection.send(head + b"2\r\n{}\r\n")
        wait_until(lambda: place.upstream.count("PUT"))
        connection.send(b"2\nxx\r\n0\r\n\r\n" + wire(target=HIDDEN_PATH))
        reply = connection.read_reply()
        assert connection.wait_for_end() is not Ending.KEPT_OPEN
    assert reply.status == 0 or reply.status >= 400
    assert [seen.method for seen in place.upstream.seen] == ["PUT"]
    assert not place.upstream.seen[0].is_complete


def _pushes(client: RegistryClient) -> Iterator[tuple[str, str, bytes]]:
    """Push by every way the spec knows; give method, path and body of each request once it is out.

    Uploads are named by the primary, so the requests depend on its answers.
    """
    content, uploads = random_blob(70_000, "pushed"), f"/v2/{REPOSITORY}/blobs/uploads/"

    def send(method: str, target: str, headers: dict[str, str], body: bytes, *statuses: int) -> str:
        reply = client.request(method, target, headers, body).expect(*statuses)
        return reply.header("Location") or ""

    start = send("POST", uploads, {}, b"", 202)
    yield "POST", uploads, b""
    session = start.partition("?")[0]
    chunk = {"Content-Range": "0-4", "Content-Type": "application/octet-stream"}
    location = send("PATCH", start, chunk, content.data[:5], 202)
    yield "PATCH", session, content.data[:5]
    rest = content.data[5:]
    streamed = f"{len(rest):x}\r\n".encode() + rest + b"\r\n0\r\n\r\n"
    location = send("PATCH", location, {"Transfer-Encoding": "chunked"}, streamed, 202)
    yield "PATCH", session, rest
    client.get(location).expect(204)
    yield "GET", session, b""
    joined = f"{location}{'&' if '?' in location else '?'}digest={content.digest}"
    send("PUT", joined, {}, b"", 201)
    yield "PUT", session, b""
    cancelled = send("POST", uploads, {}, b"", 202)
    yield "POST", uploads, b""
    send("DELETE", cancelled, {}, b"", 204)
    yield "DELETE", cancelled.partition("?")[0], b""
    send("POST", f"{uploads}?digest={content.digest}", {}, content.data, 201)
    yield "POST", uploads, content.data
    index = oci_index([], absent=[oci_image("elsewhere")]).data
    tag = f"/v2/{REPOSITORY}/manifests/pushed"
    send("PUT", tag, {"Content-Type": OCI_INDEX}, index, 201, 400)
    yield "PUT", tag, index
    send("DELETE", f"/v2/{REPOSITORY}/manifests/never-there", {}, b"", 202, 404)
    yield "DELETE", f"/v2/{REPOSITORY}/manifests/never-there", b""


def test_each_valid_write_becomes_one_equal_request(place: Place, address: str):
    """C10, T8: method, path, query and body of every kind of write arrive as sent, framed anew."""
    client = RegistryClient(f"http://{address}", host=HOST)
    for method, path, body in _pushes(client):
        (seen,) = place.upstream.seen
        assert (seen.method, seen.path, seen.body_bytes) == (method, path, len(body))
        assert request_framing(seen.fields) in (Length(len(body)), Chunked())
        place.upstream.forget()
    assert place.upstream.malformed == []


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", f"/v2/{REPOSITORY}/tags/list?n=10&last=a"),
        ("GET", f"/v2/{REPOSITORY}/referrers/sha256:{64 * 'b'}?artifactType=a%2Fb"),
        ("HEAD", f"/v2/{REPOSITORY}/blobs/sha256:{64 * 'c'}"),
    ],
)
def test_each_valid_read_becomes_at_most_one_equal_request(
    place: Place, address: str, method: str, target: str
):
    """C10, T8: reads that only the primary can answer reach it once, as they were meant."""
    assert exchange(address, request_bytes(method, target, HOST), method=method).status
    place.upstream.forget()
    path, _, query = target.partition("?")
    assert exchange(address, request_bytes(method, target, HOST), method=method).status
    seen = [(each.method, each.path) for each in place.upstream.seen]
    assert seen == [(method, path)] or (seen == [] and "referrers" in target)
    assert all(each.target.partition("?")[2] == query for each in place.upstream.seen)
    assert place.upstream.malformed == []


def test_a_manifest_push_and_pull_through_a_front_end_is_byte_exact(place: Place, address: str):
    """T8: framing is ours alone; what is in the frame is the client's."""
    client = RegistryClient(f"http://{address}", host=HOST)
    image = oci_image("through", layers=[])
    for content in image.all_blobs():
        uploads = f"/v2/{REPOSITORY}/blobs/uploads/?digest={content.digest}"
        client.request("POST", uploads, {}, content.data).expect(201)
    target = f"/v2/{REPOSITORY}/manifests/through"
    client.request("PUT", target, {"Content-Type": OCI_MANIFEST}, image.data).expect(201)
    assert client.get(target).expect(200).body == image.data
