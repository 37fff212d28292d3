"""A plain registry client: sends what the test says, logs in when it is asked to, follows nothing.

It is synchronous and opens a connection for each request, so that none is sent twice. What got it
in once is sent along with later requests of the same kind to the same repository, as clients do.
``raw_http`` sends what no client would.
"""

import http.client
import json
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.support.accounts import Credentials
from tests.support.token_calls import basic_value

TIMEOUT_SECONDS = 30.0
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_REPOSITORY = re.compile(r"/v2/(.+)/(?:manifests|blobs|tags|referrers)/.*")
_ACTIONS = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}


class UnexpectedReply(AssertionError):
    """A registry answered otherwise than the test needs."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def header(self, name: str) -> str | None:
        value = self.headers.get(name)
        return None if value is None else str(value)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error_codes(self) -> list[str]:
        """Give the spec's codes of an error body; none if it isn't one."""
        try:
            return [str(error["code"]) for error in self.json()["errors"]]
        except (ValueError, KeyError, TypeError):
            return []

    def expect(self, *statuses: int) -> "Reply":
        """Give itself. Raises: UnexpectedReply for any other status."""
        if self.status not in statuses:
            raise UnexpectedReply(f"{self.status}, not {statuses}: {self.body[:500]!r}")
        return self


@dataclass(slots=True)
class RegistryClient:
    """A client of one registry under one login; *host* is sent as Host in place of the address."""

    url: str
    credentials: Credentials | None = None
    ca_file: Path | None = None
    host: str | None = None
    timeout_seconds: float = TIMEOUT_SECONDS
    _logins: dict[tuple[str, str], str] = field(default_factory=dict)

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self.request("GET", target, headers)

    def head(self, target: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self.request("HEAD", target, headers)

    def delete(self, target: str) -> Reply:
        return self.request("DELETE", target)

    def request(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        """Send one request; on a challenge, once more with what it asks for.

        target: path and query, or the absolute URL of a ``Location`` at the same registry.
        body:   as it is sent; with ``Transfer-Encoding: chunked`` it consists of chunks.
        """
        purpose = _purpose(method, target)
        remembered = self._logins.get(purpose)
        login = {"Authorization": remembered} if remembered else {}
        reply = self._send(method, target, {**login, **(headers or {})}, body)
        challenge = reply.header("WWW-Authenticate")
        if reply.status != 401 or challenge is None or "Authorization" in (headers or {}):
            return reply
        authorization = self._authorization(challenge)
        if authorization is None:
            return reply
        self._logins[purpose] = authorization
        return self._send(method, target, {**(headers or {}), "Authorization": authorization}, body)

    def log_out(self) -> None:
        """Forget what got this client in so far; its credentials stay."""
        self._logins.clear()

    def _send(
        self, method: str, target: str, headers: Mapping[str, str] | None, body: bytes
    ) -> Reply:
        sent = {"Host": self.host} if self.host else {}
        sent |= headers or {}
        if "Transfer-Encoding" not in sent and (body or method in ("POST", "PUT", "PATCH")):
            sent.setdefault("Content-Length", str(len(body)))
        return self._exchange(self.url, method, self._path(target), sent, body)

    def _path(self, target: str) -> str:
        if target.startswith("/"):
            return target
        assert target.startswith(f"{self.url}/"), f"{target} is not at {self.url}"
        return target.removeprefix(self.url)

    def _exchange(
        self, origin: str, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        connection = self._connect(origin)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was read
                connection.request(method, path, body or None, dict(headers))
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def _connect(self, origin: str) -> http.client.HTTPConnection:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self.timeout_seconds)
        context = ssl.create_default_context(cafile=self.ca_file)
        return http.client.HTTPSConnection(
            host, port, timeout=self.timeout_seconds, context=context
        )

    def _authorization(self, challenge: str) -> str | None:
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "bearer":
            return self._bearer(dict(_PARAMETER.findall(rest)))
        return basic_value(self.credentials) if self.credentials else None

    def _bearer(self, challenge: Mapping[str, str]) -> str | None:
        token = self._fetch_token(challenge, challenge.get("scope", ""))
        return None if token is None else f"Bearer {token}"

    def _fetch_token(self, challenge: Mapping[str, str], scope: str) -> str | None:
        realm = urlsplit(challenge["realm"])
        pairs = [("service", challenge.get("service", ""))]
        pairs += [("scope", each) for each in scope.split()]
        headers = {"Authorization": basic_value(self.credentials)} if self.credentials else {}
        origin = f"{realm.scheme}://{realm.netloc}"
        reply = self._exchange(origin, "GET", f"{realm.path}?{urlencode(pairs)}", headers, b"")
        if reply.status != 200:
            return None
        answer = reply.json()
        return str(answer.get("token") or answer["access_token"])


def _purpose(method: str, target: str) -> tuple[str, str]:
    """Give the repository and the right that a request is about."""
    match = _REPOSITORY.search(target)
    return match[1] if match else "", _ACTIONS.get(method, "push")
