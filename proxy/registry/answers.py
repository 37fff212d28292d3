"""The primary's answers read: statuses to errors, headers to values. Plain functions, no I/O."""

import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

from proxy.oci.errors import (
    Absent,
    BadGateway,
    BlobUnknown,
    Denied,
    LoopDetected,
    ManifestUnknown,
    NameUnknown,
    RangeInvalid,
    Refused,
    RegistryError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from proxy.oci.request import BlobPull, Catalog, Listing, Pull

MAX_ERROR_BYTES = 64 << 10
MAX_RETRY_AFTER_SECONDS = 3600
DEFAULT_RETRY_AFTER_SECONDS = 5
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,63}")
_CONFIRMING_CODES = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN"})


def error_in(body: bytes) -> tuple[str, str]:
    """Give the code and message of an error body; empty strings where it is none of the spec's."""
    try:
        first = json.loads(body)["errors"][0]
        code, message = first["code"], first.get("message", "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return "", ""
    if not isinstance(code, str) or _CODE.fullmatch(code) is None:
        return "", ""
    return code, message if isinstance(message, str) else ""


def retry_after(text: str) -> int:
    """Give the seconds of a Retry-After header, in either of its forms (RFC 9110, 10.2.3)."""
    if text.isascii() and text.isdigit():
        seconds = int(text[:6])
    else:
        try:
            seconds = int(parsedate_to_datetime(text).timestamp() - time())
        except (ValueError, TypeError):
            seconds = DEFAULT_RETRY_AFTER_SECONDS
    return max(1, min(seconds, MAX_RETRY_AFTER_SECONDS))


def error_of(
    status: int, headers: Mapping[str, str], body: bytes, asked: Pull | Listing
) -> RegistryError:
    """Give the error that a refusing answer of the primary's /v2/ stands for."""
    code, message = error_in(body)
    match status:
        case 401:
            return Unauthorized(error="invalid_token")
        case 403:
            return Denied(message)
        case 404:
            return _absence(code, headers, asked)
        case 405 | 501 if isinstance(asked, Catalog):
            return Unsupported("the primary registry offers no catalogue")
        case 416:
            return range_invalid(headers)
        case _ if status == 429 or status >= 500:
            return LoopDetected() if status == 508 else _unavailable(status, headers)
        case _ if status >= 400:
            return Refused(status, code or "DENIED", message or "the primary registry refused")
    return BadGateway(f"the primary registry answered with status {status}")


def _unavailable(status: int, headers: Mapping[str, str]) -> Unavailable:
    wait_seconds = retry_after(headers.get("Retry-After", ""))
    error = Unavailable("the primary can't answer now", retry_after_seconds=wait_seconds)
    if status == 429:
        error = TooManyRequests(retry_after_seconds=wait_seconds)
    error.is_time_named = "Retry-After" in headers
    error.is_answered = True
    return error


def _absence(code: str, headers: Mapping[str, str], asked: Pull | Listing) -> Absent:
    if code == NameUnknown.code:
        error: Absent = NameUnknown()
    else:
        error = BlobUnknown() if isinstance(asked, BlobPull) else ManifestUnknown()
    error.is_confirmed = code in _CONFIRMING_CODES
    is_page = headers.get("Content-Type", "").lower().startswith("text/")
    error.is_foreign = is_page and not code and "Docker-Distribution-Api-Version" not in headers
    return error


def range_invalid(headers: Mapping[str, str]) -> RegistryError:
    """Give the error that a 416 stands for."""
    match = re.fullmatch(r"bytes \*/([0-9]{1,19})", headers.get("Content-Range", ""))
    return RangeInvalid(int(match.group(1))) if match else BadGateway()
