"""Ranges, conditions and HEAD over real HTTP, and that the connection goes on after each."""

from typing import NamedTuple

import pytest

from tests.support.layers import Blob, blob, random_blob
from tests.support.raw_http import Ending, RawReply, raw_connection, request_bytes
from tests.web.conftest import Place, blob_path
from tests.web.corpus import HOST

Fields = tuple[tuple[str, str], ...]


class Case(NamedTuple):
    """A Range, the status it gets and, where that is 206, the part that it gets."""

    range: str
    status: int
    part: slice = slice(0)


PARTS = (
    Case("bytes=0-0", 206, slice(0, 1)),
    Case("bytes=0-99", 206, slice(0, 100)),
    Case("bytes=100-199", 206, slice(100, 200)),
    Case("bytes=7-", 206, slice(7, None)),
    Case("bytes=0-", 206, slice(0, None)),
    Case("bytes=-1", 206, slice(-1, None)),
    Case("bytes=-200", 206, slice(-200, None)),
    Case("bytes=-99999999999", 206, slice(0, None)),
    Case("bytes=5-99999999999", 206, slice(5, None)),
    Case("bytes= 0-9", 206, slice(0, 10)),
    Case("bytes=00-009", 206, slice(0, 10)),
    Case("bytes=-0", 416),
    Case("bytes=99999999999-", 416),
    Case("bytes=99999999999-99999999999", 416),
    Case("bytes=9-0", 200),
    Case("bytes=-", 200),
    Case("bytes=", 200),
    Case("bytes=a-b", 200),
    Case("bytes=0x0-0x9", 200),
    Case("bytes=-5-9", 200),
    Case("bytes=+0-9", 200),
    Case("bytes 0-9", 200),
    Case("items=0-9", 200),
    Case("bytes=99999999999999999999-", 200),
    Case("bytes=0-1,3-4", 400),
    Case("bytes=0-1, 3-4", 400),
    Case("bytes=0-1,", 400),
    Case("bytes=-1,0-0", 400),
)


def _two(place: Place, target: str, *fields: tuple[str, str], method: str = "GET") -> RawReply:
    """Send a request and, pipelined behind it, another; give the first answer.

    The second answer shows that the first one's framing was exact and the connection goes on.
    """
    with raw_connection(place.served.address) as connection:
        behind = request_bytes("GET", "/v2/", HOST)
        connection.send(request_bytes(method, target, HOST, *fields) + behind)
        first = connection.read_reply(method)
        second = connection.read_reply()
        assert (second.status, second.body, second.rest) == (200, b"{}", b"")
        connection.send(behind)
        assert connection.read_reply().status == 200
        assert connection.wait_for_end(0) is Ending.KEPT_OPEN
    assert first.is_complete
    return first


def _check(case: Case, reply: RawReply, content: Blob) -> None:
    size = len(content.data)
    assert reply.status == case.status
    match case.status:
        case 206:
            start, stop, _ = case.part.indices(size)
            assert reply.body == content.data[start:stop]
            assert reply.header("Content-Range") == f"bytes {start}-{stop - 1}/{size}"
            assert reply.header("Content-Length") == str(stop - start)
        case 200:
            assert reply.body == content.data
            assert "Content-Range" not in reply.fields
        case 416:
            assert reply.header("Content-Range") == f"bytes */{size}"
            assert b'"UNSUPPORTED"' in reply.body
        case 400:
            assert b'"UNSUPPORTED"' in reply.body
    if case.status in (200, 206):
        assert reply.header("ETag") == f'"{content.digest}"'
        assert reply.header("Docker-Content-Digest") == content.digest
        assert reply.header("Accept-Ranges") == "bytes"
        assert reply.header("Content-Type") == "application/octet-stream"


@pytest.mark.parametrize("case", PARTS, ids=lambda case: case.range)
@pytest.mark.parametrize("size", ["small", "large"])
def test_ranges_of_a_warm_blob(place: Place, size: str, case: Case):
    """One range is given, several get 400, what isn't satisfiable 416, what isn't a range all."""
    content = place.warm(place.config if size == "small" else place.layer)
    _check(case, _two(place, blob_path(content), ("Range", case.range)), content)


@pytest.mark.parametrize("case", PARTS, ids=lambda case: case.range)
@pytest.mark.parametrize("size", [1000, 400_000])
def test_ranges_of_a_cold_blob(place: Place, size: int, case: Case):
    """The same of a blob that has to be fetched for it; it is fetched once at most."""
    content = place.add(random_blob(size, f"cold {case.range} {size}"))
    _check(case, _two(place, blob_path(content), ("Range", case.range)), content)
    assert place.client().get(blob_path(content)).expect(200).body == content.data
    assert place.upstream.sent_bytes(blob_path(content)) <= size


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('"{digest}"', 206),
        (' "{digest}" ', 206),
        ('W/"{digest}"', 200),
        ('"other"', 200),
        ("{digest}", 200),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("*", 200),
        ("", 200),
    ],
)
def test_if_range(place: Place, condition: str, status: int):
    """A range is given only of the content that If-Range names; of any other, all is."""
    content = place.warm(place.layer)
    value = condition.format(digest=content.digest)
    reply = _two(place, blob_path(content), ("Range", "bytes=3-9"), ("If-Range", value))
    expected = content.data[3:10] if status == 206 else content.data
    assert (reply.status, reply.body == expected) == (status, True)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('"{digest}"', 304),
        ('W/"{digest}"', 304),
        ('"a", "{digest}"', 304),
        ("*", 304),
        ('"other"', 200),
        ('"sha256:{digest}"', 200),
    ],
)
@pytest.mark.parametrize("kind", ["manifest", "small blob", "large blob"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_if_none_match(place: Place, method: str, kind: str, condition: str, status: int):
    """What the client has already isn't sent again; 304 has no body and no length of one."""
    targets = {"manifest": (place.manifest_path, place.image.digest)}
    for name, content in (("small blob", place.config), ("large blob", place.layer)):
        targets[name] = (blob_path(place.warm(content)), content.digest)
    target, digest = targets[kind]
    value = condition.format(digest=digest)
    reply = _two(place, target, ("If-None-Match", value), method=method)
    assert reply.status == status
    assert reply.header("ETag") == f'"{digest}"'
    assert status == 200 or (reply.body, "Content-Type" in reply.fields) == (b"", False)


@pytest.mark.parametrize("value", ["bytes=0-1", "bytes=0-1,3-4", "bytes=99999999-", "x"])
def test_a_range_of_a_manifest_is_ignored(place: Place, value: str):
    """Manifests come whole, since clients hash them whole."""
    reply = _two(place, place.manifest_path, ("Range", value))
    assert (reply.status, reply.body) == (200, place.image.data)


@pytest.mark.parametrize("kind", ["manifest", "small blob", "large blob", "cold blob"])
@pytest.mark.parametrize("fields", [(), (("Range", "bytes=0-1"),), (("Range", "bytes=0-1,3-4"),)])
def test_head_tells_length_and_sends_no_body(place: Place, kind: str, fields: Fields):
    """HEAD gives the headers of the whole, whatever Range says, and downloads nothing."""
    cold = place.add(random_blob(70_000, f"head {fields}"))
    target, size, digest = {
        "manifest": (place.manifest_path, len(place.image.data), place.image.digest),
        "small blob": (blob_path(place.config), len(place.config.data), place.config.digest),
        "large blob": (blob_path(place.layer), len(place.layer.data), place.layer.digest),
        "cold blob": (blob_path(cold), len(cold.data), cold.digest),
    }[kind]
    place.upstream.forget()
    reply = _two(place, target, *fields, method="HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.header("Content-Length") == str(size)
    assert reply.header("Docker-Content-Digest") == digest
    assert place.upstream.count("GET", blob_path(cold)) == 0


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v2/team/app/manifests/absent"),
        ("HEAD", "/v2/team/app/manifests/absent"),
        ("GET", f"/v2/team/app/blobs/sha256:{64 * 'f'}"),
        ("HEAD", f"/v2/team/app/blobs/sha256:{64 * 'f'}"),
        ("GET", "/v2/team/app/tags/list?n=1"),
        ("HEAD", "/v2/"),
    ],
)
def test_the_connection_goes_on_after_other_answers_too(place: Place, method: str, target: str):
    """Absence and listings are framed exactly as well."""
    assert _two(place, target, method=method).status in (200, 404)


def test_an_empty_blob_is_given_and_has_no_part(place: Place):
    """The empty blob is a blob: cold and warm it comes with length 0, and any range is 416."""
    content = place.add(blob(b""))
    for _ in ("cold", "warm"):
        reply = _two(place, blob_path(content))
        assert (reply.status, reply.body, reply.header("Content-Length")) == (200, b"", "0")
        part = _two(place, blob_path(content), ("Range", "bytes=0-"))
        assert (part.status, part.header("Content-Range")) == (416, "bytes */0")


def test_fifty_requests_in_one_packet_are_answered_in_order(place: Place):
    """Pipelined pulls of different kinds come back one after the other, each exact."""
    contents = [place.warm(place.layer), place.warm(place.config)]
    wanted = [contents[i % 2] for i in range(50)]
    with raw_connection(place.served.address) as connection:
        pulls = [request_bytes("GET", blob_path(content), HOST) for content in wanted]
        connection.send(b"".join(pulls))
        for content in wanted:
            reply = connection.read_reply()
            assert (reply.status, reply.body == content.data) == (200, True)
