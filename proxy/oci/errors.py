"""One tree of errors, each with its wire form: a status and a code of the distribution spec.

An error's message is for the client, short and free of anything of the inside; its cause
(`raise ... from exc`) is for the log. They never mix. Three things are kept apart everywhere:
absent (`...Unknown`), forbidden (`Unauthorized`, `Denied`) and unreachable (`Unavailable`).
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

MAX_MESSAGE_CHARACTERS = 256


class RegistryError(Exception):
    """Something that is answered to the client as the spec's error body.

    Source: distribution-spec, "Error Codes". Statuses for which the spec has no code carry
    UNSUPPORTED, UNAVAILABLE or UNKNOWN.
    """

    status: int = 500
    code: str = "UNKNOWN"
    default_message: ClassVar[str] = "internal error"

    detail: Mapping[str, object] = MappingProxyType({})

    def __init__(self, message: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        self.message = (message or self.default_message)[:MAX_MESSAGE_CHARACTERS]
        self.headers = dict(headers or {})
        super().__init__(self.message)

    def body(self) -> bytes:
        """Give the spec's JSON document."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.detail:
            error["detail"] = dict(self.detail)
        return json.dumps({"errors": [error]}).encode()


# --- the request can't be understood or isn't for us ---------------------------------------


class BadRequest(RegistryError):
    """The request breaks HTTP's or the spec's grammar."""

    status = 400
    code = "UNSUPPORTED"
    default_message = "malformed request"


class NameInvalid(RegistryError):
    """The repository name or the path around it breaks the grammar."""

    status = 400
    code = "NAME_INVALID"
    default_message = "invalid repository name"


class DigestInvalid(RegistryError):
    """The digest breaks the grammar, or the content doesn't have it."""

    status = 400
    code = "DIGEST_INVALID"
    default_message = "invalid digest"


class ManifestInvalid(RegistryError):
    """The manifest can't be what it says it is."""

    status = 400
    code = "MANIFEST_INVALID"
    default_message = "invalid manifest"


class SizeInvalid(RegistryError):
    """The body is larger than allowed or not as long as announced."""

    status = 413
    code = "SIZE_INVALID"
    default_message = "content too large"


class NotServedHere(RegistryError):
    """The path is no part of the registry API."""

    status = 404
    code = "UNSUPPORTED"
    default_message = "not part of the registry API"


class Unsupported(RegistryError):
    """The method isn't offered on this path."""

    status = 405
    code = "UNSUPPORTED"
    default_message = "operation not supported"


class RangeInvalid(RegistryError):
    """The range asked for lies outside the content (RFC 9110, 15.5.17)."""

    status = 416
    code = "UNSUPPORTED"
    default_message = "range not satisfiable"

    def __init__(self, size_bytes: int) -> None:
        super().__init__(headers={"Content-Range": f"bytes */{size_bytes}"})


class Misdirected(RegistryError):
    """The Host isn't one of ours (RFC 9110, 15.5.20)."""

    status = 421
    code = "UNSUPPORTED"
    default_message = "this host is not served here"


# --- absent ---------------------------------------------------------------------------------


class Absent(RegistryError):
    """The thing asked for doesn't exist, as far as this caller may know.

    `is_confirmed` says that the primary itself said so in the spec's words: a 404 of something
    on the way (a default backend, plain text) is no proof that anything is gone. `is_foreign` says
    that it looks like such a one.
    """

    status = 404
    is_confirmed: bool = False
    is_foreign: bool = False


class NameUnknown(Absent):
    """No such repository."""

    code = "NAME_UNKNOWN"
    default_message = "repository not known to registry"


class ManifestUnknown(Absent):
    """No such manifest in this repository."""

    code = "MANIFEST_UNKNOWN"
    default_message = "manifest unknown to registry"


class BlobUnknown(Absent):
    """No such blob in this repository."""

    code = "BLOB_UNKNOWN"
    default_message = "blob unknown to registry"


class BlobUploadUnknown(Absent):
    """No such upload session."""

    code = "BLOB_UPLOAD_UNKNOWN"
    default_message = "blob upload unknown to registry"


# --- forbidden ------------------------------------------------------------------------------


class Unauthorized(RegistryError):
    """Credentials are missing or not accepted.

    `error` is the token spec's word (`invalid_token`, `insufficient_scope`), empty where none
    applies; the challenge itself is written where the answer is, since it names our own address.
    """

    status = 401
    code = "UNAUTHORIZED"
    default_message = "authentication required"

    def __init__(self, message: str = "", *, error: str = "") -> None:
        super().__init__(message)
        self.error = error


class Denied(RegistryError):
    """The caller is known and may not do this."""

    status = 403
    code = "DENIED"
    default_message = "requested access to the resource is denied"


class OutsideNetworks(Denied):
    """The region is closed to the network that the client comes from.

    Its detail is the address under which it is seen, which is what it can do something about.
    """

    default_message = "this region is closed to your network"

    def __init__(self, message: str = "", *, client: str = "") -> None:
        super().__init__(message)
        if client:
            self.detail = {"client": client}


class Refused(RegistryError):
    """The primary's policy answers: 412 (a scan's verdict) or 451, passed to this client."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


# --- unreachable ----------------------------------------------------------------------------


class Unavailable(RegistryError):
    """Nobody who could answer can be reached; says when to try again.

    `is_time_named` says that the primary itself named that time (Retry-After); `is_answered` that
    something did answer, if only to say so.
    """

    status = 503
    code = "UNAVAILABLE"
    default_message = "the primary registry can't be reached"
    is_time_named: bool = False
    is_answered: bool = False

    def __init__(self, message: str = "", *, retry_after_seconds: int = 5) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after_seconds)})
        self.retry_after_seconds = retry_after_seconds


class TooManyRequests(Unavailable):
    """The primary asks for less; its Retry-After goes to the client."""

    status = 429
    code = "TOOMANYREQUESTS"
    default_message = "too many requests"


class LoopDetected(Unavailable):
    """Our own name is in Via: the way to the primary leads back to us."""

    status = 508
    code = "UNSUPPORTED"
    default_message = "the request came back: the primary's address leads to this replica"


class StoreUnavailable(Unavailable):
    """The local store can't keep or give this now; the primary may."""

    default_message = "the local store is not available"


# --- wrong ----------------------------------------------------------------------------------


class BadGateway(RegistryError):
    """The primary's answer can't be used."""

    status = 502
    default_message = "the primary registry's answer could not be used"


class UntrustedOrigin(BadGateway):
    """The primary points to an origin that the settings don't name."""

    default_message = "the primary registry points to an origin that is not trusted"


class ContentMismatch(BadGateway):
    """The bytes aren't what the digest, the size or the type says."""

    default_message = "the content did not match its digest"
