"""How the upstream behaves when nothing is broken: one of the many ways registries do."""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.hostile.access import Anybody, Login
from tests.support.http1 import Request

LocationStyle = Callable[[str, Request], str]


class Expect(enum.Enum):
    """What becomes of ``Expect: 100-continue``."""

    CONTINUE = "100 is sent"
    SILENT = "nothing is said; the body is read when it comes"


def relative(target: str, request: Request) -> str:
    """Name an upload by path."""
    return target


def absolute(target: str, request: Request) -> str:
    """Name an upload by URL, at the host that the request names."""
    return f"http://{request.fields.get('Host')}{target}"


def at_origin(origin: str) -> LocationStyle:
    """Name uploads by URL at another origin."""
    return lambda target, _request: f"{origin}{target}"


@dataclass(slots=True)
class Settings:
    """What the upstream supports; None as a page size: all in one page."""

    login: Login = field(default_factory=Anybody)
    has_etags: bool = True
    has_ranges: bool = True
    has_digest_header: bool = True
    has_referrers: bool = True
    filters_referrers: bool = True
    allows_deletes: bool = True
    checks_blobs: bool = True
    requires_upload_state: bool = True
    catalogue_page: int | None = None
    tags_page: int | None = None
    referrers_page: int | None = None
    upload_location: LocationStyle = relative
    chunk_min_length: int | None = None
    expect: Expect = Expect.CONTINUE
