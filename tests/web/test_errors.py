"""Every error is answered in the spec's form, in one place."""

import json
from collections.abc import Callable, Iterator

import pytest

from proxy.oci import errors
from proxy.oci.errors import RegistryError
from proxy.web.exchange import Exchange
from tests.support.raw_http import Ending, raw_connection, request_bytes
from tests.web.conftest import Place
from tests.web.corpus import HOST, PULL

EXPECTED = {
    errors.RegistryError: (500, "UNKNOWN"),
    errors.BadRequest: (400, "UNSUPPORTED"),
    errors.NameInvalid: (400, "NAME_INVALID"),
    errors.DigestInvalid: (400, "DIGEST_INVALID"),
    errors.ManifestInvalid: (400, "MANIFEST_INVALID"),
    errors.SizeInvalid: (413, "SIZE_INVALID"),
    errors.NotServedHere: (404, "UNSUPPORTED"),
    errors.Unsupported: (405, "UNSUPPORTED"),
    errors.RangeInvalid: (416, "UNSUPPORTED"),
    errors.Misdirected: (421, "UNSUPPORTED"),
    errors.LoopDetected: (508, "UNSUPPORTED"),
    errors.NameUnknown: (404, "NAME_UNKNOWN"),
    errors.ManifestUnknown: (404, "MANIFEST_UNKNOWN"),
    errors.BlobUnknown: (404, "BLOB_UNKNOWN"),
    errors.BlobUploadUnknown: (404, "BLOB_UPLOAD_UNKNOWN"),
    errors.Unauthorized: (401, "UNAUTHORIZED"),
    errors.Denied: (403, "DENIED"),
    errors.OutsideNetworks: (403, "DENIED"),
    errors.Refused: (451, "DENIED"),
    errors.Unavailable: (503, "UNAVAILABLE"),
    errors.StoreUnavailable: (503, "UNAVAILABLE"),
    errors.TooManyRequests: (429, "TOOMANYREQUESTS"),
    errors.BadGateway: (502, "UNKNOWN"),
    errors.UntrustedOrigin: (502, "UNKNOWN"),
    errors.ContentMismatch: (502, "UNKNOWN"),
}
"""The distribution spec's codes; statuses it has no code for as settled for this project."""

ARGUMENTS: dict[type[RegistryError], tuple[object, ...]] = {
    errors.RangeInvalid: (7,),
    errors.Refused: (451, "DENIED", "not here"),
}
ABSTRACT = {errors.Absent}

Raise = Callable[[Exception], None]


@pytest.fixture
def raising(place: Place) -> Iterator[Raise]:
    """Let the next requests fail within, as the test says."""
    gate = place.served.replica._gate
    answer = gate._answer

    def let(error: Exception) -> None:
        async def fail(_: Exchange) -> None:
            raise error

        gate._answer = fail

    yield let
    gate._answer = answer


def _all_errors(of: type[RegistryError]) -> Iterator[type[RegistryError]]:
    yield of
    for each in of.__subclasses__():
        yield from _all_errors(each)


def test_the_table_names_every_error():
    """An error that is added has to say its status and code here."""
    known = {each for each in _all_errors(RegistryError) if each.__module__ == errors.__name__}
    assert known - ABSTRACT == set(EXPECTED)


CLOSES = (400, 405, 421, errors.OutsideNetworks)
"""What ends the connection too: it wasn't understood, or isn't to come here at all."""


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_error_has_the_specs_form(place: Place, raising: Raise, kind, method: str):
    """Status, code and a message in JSON, exactly framed; the connection goes on if it may."""
    status, code = EXPECTED[kind]
    raising(kind(*ARGUMENTS.get(kind, ())))
    with raw_connection(place.served.address) as connection:
        connection.send(request_bytes(method, PULL, HOST))
        reply = connection.read_reply(method)
        ending = connection.wait_for_end(0.05)
    assert (reply.status, reply.is_complete, reply.rest) == (status, True, b"")
    assert reply.header("Content-Type") == "application/json; charset=utf-8"
    assert reply.header("X-Content-Type-Options") == "nosniff"
    assert reply.header("X-Request-Id")
    assert (ending is Ending.KEPT_OPEN) == (status not in CLOSES and kind not in CLOSES)
    if method == "GET":
        (error,) = json.loads(reply.body)["errors"]
        assert (error["code"], bool(error["message"])) == (code, True)
    if status in (429, 503):
        assert int(reply.header("Retry-After")) > 0
    if status == 416:
        assert reply.header("Content-Range") == "bytes */7"


@pytest.mark.parametrize(
    "error", [ValueError("secret"), KeyError("secret"), RuntimeError("secret"), OSError("secret")]
)
def test_an_unexpected_error_tells_clients_nothing(place: Place, raising: Raise, error):
    """What nobody foresaw is a 500 without its text; the log has the cause."""
    raising(error)
    reply = place.client().get(PULL)
    assert (reply.status, reply.error_codes) == (500, ["UNKNOWN"])
    assert b"secret" not in reply.body
    request_id = str(reply.header("X-Request-Id"))
    event = place.served.wait_event("request.answered", request_id=request_id)
    assert event["outcome"] == "failed"
    assert "secret" in event["error"]


def test_a_message_of_any_length_is_bounded(place: Place, raising: Raise):
    """What others wrote into an error doesn't fill answers or logs."""
    raising(errors.Denied("x" * 100_000))
    reply = place.client().get(PULL).expect(403)
    assert len(reply.body) < 500
    request_id = str(reply.header("X-Request-Id"))
    assert len(place.served.wait_event("request.answered", request_id=request_id)["error"]) < 500


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", PULL, "GET, HEAD, PUT, DELETE"),
        ("PATCH", PULL, "GET, HEAD, PUT, DELETE"),
        ("PUT", f"/v2/team/app/blobs/sha256:{64 * 'a'}", "GET, HEAD, DELETE"),
        ("DELETE", "/v2/team/app/tags/list", "GET"),
        ("POST", f"/v2/team/app/referrers/sha256:{64 * 'a'}", "GET"),
        ("GET", "/v2/team/app/blobs/uploads/", "POST"),
        ("POST", "/v2/", "GET, HEAD"),
        ("DELETE", "/v2/_catalog", "GET"),
    ],
)
def test_a_method_that_is_not_offered(place: Place, method: str, target: str, allowed: str):
    """405 names the methods that are offered, and the primary isn't asked."""
    reply = place.client().request(method, target)
    assert (reply.status, reply.error_codes) == (405, ["UNSUPPORTED"])
    assert reply.header("Allow") == allowed
    assert place.upstream.seen == []
