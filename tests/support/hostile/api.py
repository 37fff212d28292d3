"""From a request to the answer of a correct registry: login, then the route."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.hostile.access import rights_for
from tests.support.hostile.answers import Answer, problem
from tests.support.hostile.contents import Contents
from tests.support.hostile.reading import Reading
from tests.support.hostile.settings import Settings
from tests.support.hostile.writing import Writing
from tests.support.http1 import Request

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = rf"/v2/(?P<name>{_PART}(?:/{_PART})*)"
_DIGEST = r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}"
_MANIFEST = re.compile(
    _NAME + rf"/manifests/(?P<reference>{_DIGEST}|[\w][\w.-]{{0,127}})", re.ASCII
)
_BLOB = re.compile(_NAME + rf"/blobs/(?P<digest>{_DIGEST})")
_UPLOADS = re.compile(_NAME + r"/blobs/uploads/?")
_UPLOAD = re.compile(_NAME + r"/blobs/uploads/(?P<session>[0-9a-f-]{36})")
_TAGS = re.compile(_NAME + r"/tags/list")
_REFERRERS = re.compile(_NAME + rf"/referrers/(?P<digest>{_DIGEST})")


@dataclass(frozen=True, slots=True)
class Api:
    """Answers requests as a correct registry with these contents and settings does."""

    contents: Contents
    settings: Settings
    reading: Reading = field(init=False)
    writing: Writing = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reading", Reading(self.contents, self.settings))
        object.__setattr__(self, "writing", Writing(self.contents, self.settings))

    def refusal(self, request: Request) -> Answer | None:
        """Give the answer to a caller who may not do this; known before the body is read."""
        if not request.path.startswith("/v2/"):
            return None
        return self.settings.login.refusal(request, rights_for(request, repository_of(request)))

    def answer(self, request: Request, body: bytes) -> Answer:
        """Give the answer to a caller who may."""
        if request.path in ("/v2", "/v2/"):
            return self.reading.base()
        if not request.path.startswith("/v2/"):
            return self.reading.object(request)
        if request.path == "/v2/_catalog":
            return self.reading.catalogue(request)
        for pattern, route in self._routes():
            if found := pattern.fullmatch(request.path):
                return route(request, found, body)
        return Answer(404, (("Content-Type", "text/plain"),), b"404 page not found\n")

    def _routes(self) -> "tuple[tuple[re.Pattern[str], Route], ...]":
        return (
            (_UPLOADS, self._uploads),
            (_UPLOAD, self._upload),
            (_MANIFEST, self._manifest),
            (_BLOB, self._blob),
            (_TAGS, self._tags),
            (_REFERRERS, self._referrers),
        )

    def _manifest(self, request: Request, found: re.Match[str], body: bytes) -> Answer:
        name, reference = found["name"], found["reference"]
        match request.method:
            case "GET" | "HEAD":
                return self.reading.manifest(request, name, reference)
            case "PUT":
                return self.writing.put_manifest(request, name, reference, body)
            case "DELETE":
                return self.writing.delete_manifest(name, reference)
            case _:
                return _unsupported()

    def _blob(self, request: Request, found: re.Match[str], body: bytes) -> Answer:
        match request.method:
            case "GET" | "HEAD":
                return self.reading.blob(request, found["name"], found["digest"])
            case "DELETE":
                return self.writing.delete_blob(found["name"], found["digest"])
            case _:
                return _unsupported()

    def _uploads(self, request: Request, found: re.Match[str], body: bytes) -> Answer:
        if request.method != "POST":
            return _unsupported()
        return self.writing.start_upload(request, found["name"], body)

    def _upload(self, request: Request, found: re.Match[str], body: bytes) -> Answer:
        name, session = found["name"], found["session"]
        match request.method:
            case "PATCH":
                return self.writing.continue_upload(request, name, session, body)
            case "PUT":
                return self.writing.end_upload(request, name, session, body)
            case "GET":
                return self.writing.show_upload(request, name, session)
            case "DELETE":
                return self.writing.cancel_upload(request, name, session)
            case _:
                return _unsupported()

    def _tags(self, request: Request, found: re.Match[str], body: bytes) -> Answer:
        return self.reading.tags(request, found["name"])

    def _referrers(self, request: Request, found: re.Match[str], body: bytes) -> Answer:
        return self.reading.referrers(request, found["name"], found["digest"])


Route = Callable[[Request, re.Match[str], bytes], Answer]


def repository_of(request: Request) -> str | None:
    """Give the repository that a request names."""
    patterns = (_UPLOADS, _UPLOAD, _MANIFEST, _BLOB, _TAGS, _REFERRERS)
    matches = (pattern.fullmatch(request.path) for pattern in patterns)
    return next((found["name"] for found in matches if found), None)


def _unsupported() -> Answer:
    return problem(405, "UNSUPPORTED")
