"""Errors and their wire form."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci import errors
from proxy.oci.errors import (
    MAX_MESSAGE_CHARACTERS,
    RangeInvalid,
    Refused,
    RegistryError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)

SPEC_CODES = frozenset(
    {
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DENIED",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "TOOMANYREQUESTS",
        "UNAUTHORIZED",
        "UNSUPPORTED",
    }
)
"""distribution-spec, "Error Codes"."""

CODES_OF_OTHER_STATUSES = {500: "UNKNOWN", 502: "UNKNOWN", 503: "UNAVAILABLE"}
"""For statuses without a code of the spec that don't carry UNSUPPORTED."""

WIRE = {
    "BadRequest": (400, "UNSUPPORTED"),
    "NameInvalid": (400, "NAME_INVALID"),
    "DigestInvalid": (400, "DIGEST_INVALID"),
    "ManifestInvalid": (400, "MANIFEST_INVALID"),
    "SizeInvalid": (413, "SIZE_INVALID"),
    "NotServedHere": (404, "UNSUPPORTED"),
    "Unsupported": (405, "UNSUPPORTED"),
    "RangeInvalid": (416, "UNSUPPORTED"),
    "Misdirected": (421, "UNSUPPORTED"),
    "LoopDetected": (508, "UNSUPPORTED"),
    "NameUnknown": (404, "NAME_UNKNOWN"),
    "ManifestUnknown": (404, "MANIFEST_UNKNOWN"),
    "BlobUnknown": (404, "BLOB_UNKNOWN"),
    "BlobUploadUnknown": (404, "BLOB_UPLOAD_UNKNOWN"),
    "Unauthorized": (401, "UNAUTHORIZED"),
    "Denied": (403, "DENIED"),
    "OutsideNetworks": (403, "DENIED"),
    "Unavailable": (503, "UNAVAILABLE"),
    "StoreUnavailable": (503, "UNAVAILABLE"),
    "TooManyRequests": (429, "TOOMANYREQUESTS"),
    "BadGateway": (502, "UNKNOWN"),
    "UntrustedOrigin": (502, "UNKNOWN"),
    "ContentMismatch": (502, "UNKNOWN"),
}
ABSTRACT = frozenset({"RegistryError", "Absent"})
AS_THE_PRIMARY_SAYS = frozenset({"Refused"})


def error_classes(parent: type[RegistryError] = RegistryError) -> Iterator[type[RegistryError]]:
    yield parent
    for child in parent.__subclasses__():
        yield from error_classes(child)


def made(kind: type[RegistryError], message: str = "") -> RegistryError:
    if kind is RangeInvalid:
        return RangeInvalid(7)
    if kind is Refused:
        return Refused(412, "DENIED", message)
    return kind(message)


CLASSES = sorted(
    {kind for kind in error_classes() if kind.__module__ == errors.__name__},
    key=lambda kind: kind.__name__,
)


def test_every_class_has_its_row() -> None:
    """An error class can't be added without its status and code being looked at."""
    assert {kind.__name__ for kind in CLASSES} == set(WIRE) | ABSTRACT | AS_THE_PRIMARY_SAYS


@pytest.mark.parametrize("name", WIRE)
def test_status_and_code(name: str) -> None:
    """Each error has the spec's code, or the one settled for statuses that have none."""
    error = made(getattr(errors, name))
    assert (error.status, error.code) == WIRE[name]
    assert error.code in SPEC_CODES or CODES_OF_OTHER_STATUSES[error.status] == error.code


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@given(message=st.text(max_size=600))
def test_body_is_the_specs_document(kind: type[RegistryError], message: str) -> None:
    """The body is ASCII JSON of the spec's form with a bounded message, whatever text came in."""
    error = made(kind, message)
    document = json.loads(error.body().decode("ascii"))
    assert document == {"errors": [{"code": error.code, "message": error.message}]}
    assert len(error.message) <= MAX_MESSAGE_CHARACTERS
    assert str(error) == error.message
    if kind is not RangeInvalid and message:
        assert error.message == message[:MAX_MESSAGE_CHARACTERS]
    else:
        assert error.message


def test_lone_surrogates_are_escaped() -> None:
    """Bytes of a header that are no UTF-8 arrive as lone surrogates, and leave as JSON escapes."""
    assert b'"\\udcff"' in RegistryError("\udcff").body()


def test_message_and_cause_stay_apart() -> None:
    """The cause, which is for the log, is never in the body."""
    with pytest.raises(Unavailable) as raised:
        raise Unavailable from OSError("connect to 10.0.0.5 refused")
    assert b"10.0.0.5" not in raised.value.body()
    assert isinstance(raised.value.__cause__, OSError)


def test_headers_of_errors() -> None:
    """Unreachable and too many say when to come back; a range outside says the size."""
    assert Unavailable(retry_after_seconds=17).headers == {"Retry-After": "17"}
    assert TooManyRequests(retry_after_seconds=3).headers == {"Retry-After": "3"}
    assert RangeInvalid(10).headers == {"Content-Range": "bytes */10"}
    assert Unauthorized(error="invalid_token").error == "invalid_token"
    assert RegistryError().headers == {}


def test_headers_are_an_errors_own() -> None:
    """Headers added to one error are on no other."""
    given_headers = {"Allow": "GET"}
    error = RegistryError(headers=given_headers)
    error.headers["X"] = "1"
    assert given_headers == {"Allow": "GET"}
    assert RegistryError().headers == {}


@pytest.mark.parametrize("status", [412, 451, 418])
def test_refusals_keep_the_primarys_words(status: int) -> None:
    """A policy's answer keeps status, code and message."""
    error = Refused(status, "DENIED", "vulnerable")
    assert (error.status, error.code, error.message) == (status, "DENIED", "vulnerable")
    assert RegistryError.status == 500, "the classes stay as they are"
