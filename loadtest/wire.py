"""One node's requests: each is reported to locust under its kind, with all its bytes and time."""

import hashlib
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from locust.contrib.fasthttp import (
    FAILURE_EXCEPTIONS,
    FastHttpSession,
    ResponseContextManager,
)

_READ_BYTES = 262_144
_KEPT_BYTES = 4 * 2**20  # manifests and tokens; a blob is hashed and dropped
_SHOWN_BYTES = 200


class PullFailed(Exception):
    """A pull can't go on."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the body of an answer has to be: sha256 always, the size where a descriptor says it."""

    digest: str
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was expected; *body* holds at most 4 MiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Give the value of a header, *name* in lower case; empty if there is none."""
        return next((text for key, text in self.headers.items() if key.lower() == name), "")


class Body:
    """A body as it arrives: hashed, counted, its beginning kept."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.kept = bytearray()
        self._hasher = hashlib.sha256()

    def read_from(self, response: ResponseContextManager) -> None:
        """Take all of *response*."""
        while chunk := response.read(_READ_BYTES):
            self.size_bytes += len(chunk)
            self._hasher.update(chunk)
            if self.size_bytes <= _KEPT_BYTES:
                self.kept += chunk

    def problem(self, expected: Expected) -> str:
        """Say how it differs from what was *expected*; empty if it doesn't."""
        if expected.size_bytes is not None and self.size_bytes != expected.size_bytes:
            return f"{self.size_bytes} bytes instead of {expected.size_bytes}"
        if f"sha256:{self._hasher.hexdigest()}" != expected.digest:
            return "the bytes don't match the digest"
        return ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request: *kind* is its name in the report, *accepted* the statuses that are no failure."""

    method: str
    url: str
    kind: str
    headers: Mapping[str, str]
    form: str | None = None
    accepted: Collection[int] = (200,)
    expected: Expected | None = None


class Wire:
    """Sends requests of one node; several may be under way at once."""

    def __init__(self, session: FastHttpSession) -> None:
        self._session = session
        # Redirects are answers: whoever follows one decides what goes along.
        session.client.redirect_response_codes = frozenset()  # type: ignore[misc]  # as locust does

    def send(self, ask: Ask) -> Answer:
        """Send *ask* and take the whole answer.

        Raises: PullFailed: no answer, another status, a body that isn't as expected.
        """
        started = time.perf_counter()
        body = Body()
        with self._session.request(
            ask.method,
            ask.url,
            name=ask.kind,
            headers={"Accept-Encoding": "identity", **ask.headers},
            data=ask.form,
            catch_response=True,
            stream=True,
        ) as response:
            problem = _take(ask, response, body)
            response.request_meta["response_time"] = (time.perf_counter() - started) * 1000
            response.request_meta["response_length"] = body.size_bytes
            if response.status_code == 401:
                response.request_meta["name"] = f"{ask.kind} (401)"
            if problem:
                response.failure(problem)
            else:
                response.success()
            headers = dict(response.headers.items()) if response.headers else {}
            answer = Answer(response.status_code, headers, bytes(body.kept))
        if problem:
            raise PullFailed(f"{ask.kind}: {problem}")
        return answer


def _take(ask: Ask, response: ResponseContextManager, body: Body) -> str:
    """Read *response* and say what is wrong with it; empty if nothing is."""
    if response.status_code == 0:
        return f"no answer: {getattr(response, 'error', None)!r}"
    try:
        body.read_from(response)
    except FAILURE_EXCEPTIONS as error:
        return f"broke off after {body.size_bytes} bytes: {error!r}"
    if response.status_code not in ask.accepted:
        text = bytes(body.kept[:_SHOWN_BYTES]).decode("utf-8", "replace")
        return f"status {response.status_code}: {text}"
    if ask.expected is not None and response.status_code == 200:
        return body.problem(ask.expected)
    return ""
