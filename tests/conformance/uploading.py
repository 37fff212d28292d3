"""Checks of blob uploads: in one request, two or many; mounts; what is refused."""

from tests.conformance.place import Place, Unsupported
from tests.conformance.pulling import MISSING, Check
from tests.support.http1 import encode_chunk
from tests.support.layers import Blob, random_blob
from tests.support.pushing import location, with_query
from tests.support.registry_client import Reply

OCTETS = {"Content-Type": "application/octet-stream"}
FIRST = 1000


def post_monolithic(place: Place) -> None:
    """POST with a digest and the blob is 201 with the blob's Location."""
    content = _blob(place)
    target = f"{place.base}/blobs/uploads/?digest={content.digest}"
    reply = place.client.request("POST", target, OCTETS, content.data).expect(201, 202)
    if reply.status == 202:
        raise Unsupported("uploads in one request")
    _assert_there(place, content, reply)


def post_then_put(place: Place) -> None:
    """POST, then PUT with the blob, is 201 with the blob's Location."""
    content = _blob(place)
    started = place.start_upload()
    _assert_there(place, content, _put(place, started, content.digest, content.data).expect(201))


def put_again(place: Place) -> None:
    """A blob that is there can be pushed again."""
    content = place.has_blob()
    _put(place, place.start_upload(), content.digest, content.data).expect(201)
    place.blob(content.digest).expect(200)


def streamed(place: Place) -> None:
    """POST, PATCH without a range, PUT without a body is 201."""
    content = _blob(place)
    sent = _patch(place, place.start_upload(), content.data).expect(202)
    assert sent.header("Range") == f"0-{len(content.data) - 1}"
    _assert_there(place, content, _put(place, sent, content.digest).expect(201))


def streamed_in_transfer_chunks(place: Place) -> None:
    """A PATCH whose length isn't known in advance is accepted."""
    content = _blob(place)
    pieces = (content.data[:700], content.data[700:], b"")
    body = b"".join(encode_chunk(piece) for piece in pieces)
    headers = OCTETS | {"Transfer-Encoding": "chunked"}
    target = location(place.start_upload())
    sent = place.client.request("PATCH", target, headers, body).expect(202)
    _assert_there(place, content, _put(place, sent, content.digest).expect(201))


def chunked(place: Place) -> None:
    """POST, two PATCHes with ranges, PUT without a body is 201."""
    content = _blob(place)
    first = _patch(place, place.start_upload(), content.data[:FIRST], start=0).expect(202)
    assert first.header("Range") == f"0-{FIRST - 1}"
    second = _patch(place, first, content.data[FIRST:], start=FIRST).expect(202)
    assert second.header("Range") == f"0-{len(content.data) - 1}"
    _assert_there(place, content, _put(place, second, content.digest).expect(201))


def chunked_last_in_put(place: Place) -> None:
    """The last chunk may come with the PUT."""
    content = _blob(place)
    first = _patch(place, place.start_upload(), content.data[:FIRST], start=0).expect(202)
    last = content.data[FIRST:]
    put = _put(place, first, content.digest, last, start=FIRST).expect(201)
    _assert_there(place, content, put)


def chunk_out_of_order(place: Place) -> None:
    """A chunk that doesn't follow the last one is 416."""
    content = _blob(place)
    _patch(place, place.start_upload(), content.data[FIRST:], start=FIRST).expect(416)


def chunk_repeated(place: Place) -> None:
    """A chunk that was sent already is 416, and the upload can go on."""
    content = _blob(place)
    first = _patch(place, place.start_upload(), content.data[:FIRST], start=0).expect(202)
    _patch(place, first, content.data[:FIRST], start=0).expect(416)
    status = place.client.get(location(first)).expect(204)
    assert status.header("Range") == f"0-{FIRST - 1}"
    second = _patch(place, status, content.data[FIRST:], start=FIRST).expect(202)
    _put(place, second, content.digest).expect(201)


def upload_status(place: Place) -> None:
    """GET of an upload tells how far it is."""
    content = _blob(place)
    first = _patch(place, place.start_upload(), content.data[:FIRST], start=0).expect(202)
    status = place.client.get(location(first)).expect(204)
    assert status.header("Range") == f"0-{FIRST - 1}"
    assert status.header("Location")


def upload_cancelled(place: Place) -> None:
    """DELETE of an upload ends it."""
    started = place.start_upload()
    reply = place.client.delete(location(started)).expect(204, 404, 405)
    if reply.status != 204:
        raise Unsupported("cancelling")
    place.client.get(location(started)).expect(404)


def upload_unknown(place: Place) -> None:
    """An upload that was never opened is 404."""
    target = f"{place.base}/blobs/uploads/00000000-0000-4000-8000-000000000000"
    place.client.get(target).expect(404)
    place.client.request("PATCH", target, OCTETS, b"data").expect(404)
    digest = _blob(place).digest
    place.client.request("PUT", with_query(target, f"digest={digest}")).expect(404)


def put_without_digest(place: Place) -> None:
    """A PUT that doesn't say the digest is 400."""
    target = location(place.start_upload())
    place.client.request("PUT", target, OCTETS, b"data").expect(400)


def put_wrong_digest(place: Place) -> None:
    """A PUT whose digest isn't that of the blob is 400 and leaves nothing."""
    reply = _put(place, place.start_upload(), MISSING, b"other data").expect(400)
    assert reply.error_codes == ["DIGEST_INVALID"]
    place.blob(MISSING).expect(404)


def put_bad_digest(place: Place) -> None:
    """A PUT whose digest isn't one is 400."""
    _put(place, place.start_upload(), "sha256:abc", b"data").expect(400)


def mount(place: Place) -> None:
    """POST with mount and from is 201 with the blob's Location."""
    content = place.neighbour.has_blob()
    reply = _mount(place, content.digest, place.neighbour.repository)
    if reply.status == 202:
        raise Unsupported("mounting")
    _assert_there(place, content, reply)


def mount_from_nowhere(place: Place) -> None:
    """POST with a mount that can't be made opens an upload."""
    content = _blob(place)
    reply = _mount(place, content.digest, place.neighbour.repository)
    assert reply.status == 202
    _put(place, reply, content.digest, content.data).expect(201)


def mount_without_source(place: Place) -> None:
    """POST with mount alone is 201 or opens an upload."""
    content = place.neighbour.has_blob()
    target = f"{place.base}/blobs/uploads/?mount={content.digest}"
    reply = place.client.request("POST", target).expect(201, 202)
    if reply.status == 202:
        _put(place, reply, content.digest, content.data).expect(201)
    _assert_there(place, content, None)


def big_blob(place: Place) -> None:
    """A blob of some MiB comes back as it was pushed."""
    content = random_blob(9_000_001, place.repository)
    _put(place, place.start_upload(), content.digest, content.data).expect(201)
    _assert_there(place, content, None)


def _blob(place: Place) -> Blob:
    return random_blob(2500, place.repository)


def _mount(place: Place, digest: str, source: str) -> Reply:
    target = f"{place.base}/blobs/uploads/?mount={digest}&from={source}"
    return place.client.request("POST", target).expect(201, 202)


def _patch(place: Place, session: Reply, data: bytes, start: int | None = None) -> Reply:
    return place.client.request("PATCH", location(session), _ranged(data, start), data)


def _put(
    place: Place, session: Reply, digest: str, data: bytes = b"", start: int | None = None
) -> Reply:
    target = with_query(location(session), f"digest={digest}")
    return place.client.request("PUT", target, _ranged(data, start), data)


def _ranged(data: bytes, start: int | None) -> dict[str, str]:
    if start is None:
        return OCTETS
    return OCTETS | {"Content-Range": f"{start}-{start + len(data) - 1}"}


def _assert_there(place: Place, content: Blob, created: Reply | None) -> None:
    if created is not None:
        assert created.header("Docker-Content-Digest") in (None, content.digest)
        assert place.client.get(location(created)).expect(200).body == content.data
    assert place.blob(content.digest).expect(200).body == content.data


CHECKS: tuple[Check, ...] = (
    post_monolithic,
    post_then_put,
    put_again,
    streamed,
    streamed_in_transfer_chunks,
    chunked,
    chunked_last_in_put,
    chunk_out_of_order,
    chunk_repeated,
    upload_status,
    upload_cancelled,
    upload_unknown,
    put_without_digest,
    put_wrong_digest,
    put_bad_digest,
    mount,
    mount_from_nowhere,
    mount_without_source,
    big_blob,
)
