"""Answers: the headers that every answer has, errors in the spec's form, what clients are told.

Headers of the primary pass by name or not at all; all others are written here.
"""

from collections.abc import Mapping

from aiohttp import web
from multidict import CIMultiDict

from proxy.oci.descriptor import Descriptor
from proxy.oci.errors import BadGateway, RegistryError, Unavailable
from proxy.telemetry.labels import Outcome

JSON = "application/json; charset=utf-8"
BASE_HEADERS = {
    "Docker-Distribution-Api-Version": "registry/2.0",
    "X-Content-Type-Options": "nosniff",
    "Server": "proxima",
}
PASSING_HEADERS = (
    "Docker-Content-Digest",
    "Docker-Upload-UUID",
    "Range",
    "OCI-Subject",
    "OCI-Filters-Applied",
    "OCI-Chunk-Min-Length",
    "Retry-After",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Warning",
    "ETag",
    "Content-Type",
    "Content-Range",
)
STALE_WARNING = '110 - "Response is Stale"'


def error_response(error: RegistryError, headers: Mapping[str, str] | None = None) -> web.Response:
    """Give the spec's answer to an error."""
    response = web.Response(status=error.status, body=error.body(), headers=BASE_HEADERS)
    response.headers["Content-Type"] = JSON
    response.headers.update(error.headers)
    response.headers.update(headers or {})
    return response


def json_response(body: bytes, status: int = 200) -> web.Response:
    """Give a small JSON document."""
    headers = {**BASE_HEADERS, "Content-Type": JSON}
    return web.Response(status=status, body=body, headers=headers)


def content_headers(descriptor: Descriptor, *, is_blob: bool) -> CIMultiDict[str]:
    """Give the headers of content: digest, type and the entity tag that is made of the digest.

    Of blobs a part can be asked for.
    """
    digest = str(descriptor.digest)
    headers = CIMultiDict(BASE_HEADERS)
    headers["Content-Type"] = descriptor.media_type
    headers["Docker-Content-Digest"] = digest
    headers["ETag"] = f'"{digest}"'
    if is_blob:
        headers["Accept-Ranges"] = "bytes"
    return headers


def stale_headers(stale_seconds: float) -> dict[str, str]:
    """Give what marks an answer as stale (RFC 9111, 5.1 and 5.5)."""
    return {"Warning": STALE_WARNING, "Age": str(int(min(stale_seconds, 2**31)))}


def matches_etag(header: str, etag: str) -> bool:
    """Say whether an If-None-Match header matches (RFC 9110, 13.1.2: the weak comparison)."""
    if not header:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return etag in tags or "*" in tags or etag.strip('"') in tags


def outcome_of_status(status: int) -> Outcome:
    """Give the label that an answer of the primary is counted under."""
    match status:
        case 401:
            return Outcome.UNAUTHORIZED
        case 403 | 412 | 451:
            return Outcome.DENIED
        case 404:
            return Outcome.ABSENT
        case 429 | 503 | 504:
            return Outcome.UNAVAILABLE
        case _ if status >= 500:
            return Outcome.BAD_GATEWAY
        case _:
            return Outcome.INVALID if status >= 400 else Outcome.SERVED


def outcome_of(error: RegistryError) -> Outcome:
    """Give the label that an error is counted under."""
    match error:
        case BadGateway():
            return Outcome.BAD_GATEWAY
        case Unavailable():
            return Outcome.UNAVAILABLE
        case _ if error.status >= 500:
            return Outcome.FAILED
        case _:
            return outcome_of_status(error.status)
