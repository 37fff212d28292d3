"""A patient client for what isn't measured: first pulls, tokens, pushes."""

import hashlib
import json
import random
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from loadtest.image import (
    CONFIG_TYPE,
    INDEX_TYPE,
    LAYER_TYPE,
    MANIFEST_ACCEPT,
    MANIFEST_TYPE,
)
from loadtest.login import Login
from loadtest.programs import ProgramFailed
from proxy.oci.challenge import Scheme, parse_challenges

_LIMIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Got:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Pushed:
    """A manifest that was accepted: when, in wall-clock time, and its descriptor."""

    reference: str
    at: float
    descriptor: dict[str, Any]

    @property
    def digest(self) -> str:
        """Its digest."""
        return str(self.descriptor["digest"])


class Client:
    """Talks to one registry (URL) about one repository; logs in where it is challenged."""

    def __init__(
        self,
        registry: str,
        repository: str,
        login: Login | None = None,
        trusted: Path | None = None,
    ) -> None:
        self._registry, self._repository, self._login = registry, repository, login
        self._trusted = trusted
        self.headers = {"Accept": MANIFEST_ACCEPT}

    def url(self, path: str) -> str:
        """Give the URL of a path in the repository."""
        return f"{self._registry}/v2/{self._repository}/{path}"

    def get(self, path: str) -> Got:
        """Give the answer for *path*, e.g. `manifests/1.0`.

        Raises: ProgramFailed
        """
        got = self._ask("GET", self.url(path), self.headers)
        if got.status == 401 and "Authorization" not in self.headers:
            self.headers |= self._answer(got)
            got = self._ask("GET", self.url(path), self.headers)
        return _expect(got, 200, path)

    def push_blob(self, data: bytes) -> dict[str, Any]:
        """Push *data* and give its descriptor, as a layer's.

        Raises: ProgramFailed
        """
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        opened = _expect(self._ask("POST", self.url("blobs/uploads/"), self.headers), 202, "upload")
        location = opened.headers["location"]
        if location.startswith("/"):
            location = self._registry + location
        target = f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': digest})}"
        octets = {"Content-Type": "application/octet-stream"}
        _expect(self._ask("PUT", target, self.headers | octets, data), 201, "blob")
        return {"mediaType": LAYER_TYPE, "digest": digest, "size": len(data)}

    def push_image(self, tag: str, layers: list[dict[str, Any]]) -> Pushed:
        """Push a manifest over *layers* that are there already; an empty *tag*: by its digest.

        Raises: ProgramFailed
        """
        contents = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
        config = self.push_blob(
            json.dumps({"architecture": "amd64", "os": "linux", "rootfs": contents}).encode()
        )
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config | {"mediaType": CONFIG_TYPE},
            "layers": layers,
        }
        return self._push_manifest(tag, document)

    def push_index(self, tag: str, layers: list[dict[str, Any]]) -> Pushed:
        """Push an index with one image over *layers* that are there already.

        Raises: ProgramFailed
        """
        image = self.push_image("", layers).descriptor
        image["platform"] = {"architecture": "amd64", "os": "linux"}
        document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [image]}
        return self._push_manifest(tag, document)

    def _push_manifest(self, tag: str, document: dict[str, Any]) -> Pushed:
        body, media_type = json.dumps(document).encode(), document["mediaType"]
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        reference = tag or digest
        headers = self.headers | {"Content-Type": media_type}
        answer = self._ask("PUT", self.url(f"manifests/{reference}"), headers, body)
        _expect(answer, 201, "manifest")
        accepted_at = time.time()
        descriptor = {"mediaType": media_type, "digest": digest, "size": len(body)}
        return Pushed(reference, accepted_at, descriptor)

    def _answer(self, refusal: Got) -> dict[str, str]:
        """Give the header that a 401 asks for."""
        challenge = parse_challenges([refusal.headers.get("www-authenticate", "")])[0]
        if self._login is None:
            raise ProgramFailed(f"{self._registry} wants a login")
        basic = {"Authorization": self._login.basic}
        if challenge.scheme is not Scheme.BEARER:
            return basic
        query = urlencode(
            {"service": challenge.service, "scope": f"repository:{self._repository}:pull"}
        )
        got = _expect(self._ask("GET", f"{challenge.realm}?{query}", basic), 200, "token")
        return {"Authorization": f"Bearer {json.loads(got.body)['token']}"}

    def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Got:
        parts = urlsplit(url)
        connection: HTTPConnection
        if parts.scheme == "https":
            trust = ssl.create_default_context(cafile=self._trusted)
            connection = HTTPSConnection(parts.netloc, timeout=_LIMIT_SECONDS, context=trust)
        else:
            connection = HTTPConnection(parts.netloc, timeout=_LIMIT_SECONDS)
        try:
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request(method, target, body or None, dict(headers))
            return _got(connection.getresponse())
        finally:
            connection.close()


def push_layers(
    client: Client, size_bytes: int, count: int, source: random.Random
) -> list[dict[str, Any]]:
    """Push random layers of *size_bytes* together; give their descriptors.

    Raises: ProgramFailed
    """
    return [client.push_blob(source.randbytes(size_bytes // count)) for _ in range(count)]


def _expect(got: Got, status: int, what: str) -> Got:
    if got.status != status:
        raise ProgramFailed(f"{what}: status {got.status}: {got.body[:200]!r}")
    return got


def _got(response: HTTPResponse) -> Got:
    headers = {name.lower(): text for name, text in response.getheaders()}
    return Got(response.status, headers, response.read())
