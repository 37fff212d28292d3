"""One pull of one image in containerd's order.

HEAD of the tag, answered by a challenge; a token; HEAD again; index and manifest by digest; then
config and layers, three at a time. Every body is checked against its digest, nothing is kept.
"""

import json
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin, urlsplit

from gevent.pool import Pool

from loadtest.authorizer import Authorizer
from loadtest.image import MANIFEST_ACCEPT
from loadtest.login import Login
from loadtest.wire import Answer, Ask, Expected, PullFailed, Wire

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_MAX_DEPTH = 4
_AT_ONCE = 3  # containerd's max_concurrent_downloads


@dataclass(frozen=True, slots=True)
class ImageName:
    """What to pull: a repository with a tag or a digest, and which platform of an index."""

    repository: str
    reference: str
    os: str = "linux"
    architecture: str = "amd64"
    namespace: str = ""  # sent as `ns=`, as containerd does to mirrors

    @classmethod
    def parse(cls, text: str, platform: str = "linux/amd64", namespace: str = "") -> "ImageName":
        """Read `library/app:1.0` or `library/app@sha256:...`; without either: `latest`.

        Raises: ValueError
        """
        repository, at, reference = text.partition("@")
        if not at:
            repository, _, reference = text.partition(":")
        system, slash, architecture = platform.partition("/")
        if not repository or not slash:
            raise ValueError(f"{text!r} for {platform!r}: expected NAME:TAG for OS/ARCHITECTURE")
        return cls(repository, reference or "latest", system, architecture, namespace)


class ImagePull:
    """The pull of one image by a node that has nothing of it and no token yet."""

    def __init__(self, wire: Wire, registry: str, name: ImageName, login: Login | None) -> None:
        self._wire, self._registry, self._name = wire, registry, name
        self._authorizer = Authorizer(wire, login, name.repository)

    def run(self) -> None:
        """Pull it.

        Raises: PullFailed
        """
        self._fetch_blobs(self._fetch_manifest(self._resolve()))

    def _resolve(self) -> str:
        """Give the digest of the tag."""
        answer = self._ask("HEAD", f"manifests/{self._name.reference}", "HEAD tag", MANIFEST_ACCEPT)
        digest = answer.header("docker-content-digest")
        if not digest:
            raise PullFailed("HEAD tag: no Docker-Content-Digest")
        return digest

    def _fetch_manifest(self, digest: str) -> dict[str, Any]:
        """Give the manifest of our platform, however deep in indexes."""
        descriptor: dict[str, Any] = {"digest": digest}
        for _ in range(_MAX_DEPTH):
            document = self._fetch_document(descriptor)
            if "manifests" not in document:
                return document
            descriptor = self._choose(document["manifests"])
        raise PullFailed(f"indexes are nested deeper than {_MAX_DEPTH}")

    def _fetch_document(self, descriptor: dict[str, Any]) -> dict[str, Any]:
        kind = "manifest" if "size" in descriptor else "index or manifest"
        accept = f"{descriptor['mediaType']}, */*" if "mediaType" in descriptor else MANIFEST_ACCEPT
        answer = self._ask(
            "GET",
            f"manifests/{descriptor['digest']}",
            kind,
            accept,
            Expected(descriptor["digest"], descriptor.get("size")),
        )
        try:
            document = json.loads(answer.body)
        except ValueError as error:
            raise PullFailed(f"{kind}: not JSON") from error
        if not isinstance(document, dict):
            raise PullFailed(f"{kind}: not a JSON object")
        return document

    def _choose(self, manifests: list[dict[str, Any]]) -> dict[str, Any]:
        wanted = {"os": self._name.os, "architecture": self._name.architecture}
        for descriptor in manifests:
            if wanted.items() <= descriptor.get("platform", {}).items():
                return descriptor
        raise PullFailed(f"nothing for {self._name.os}/{self._name.architecture} in the index")

    def _fetch_blobs(self, manifest: dict[str, Any]) -> None:
        """Fetch config and layers; the first failure ends the others."""
        blobs = {manifest["config"]["digest"]: ("config", manifest["config"])}
        for layer in manifest["layers"]:
            blobs.setdefault(layer["digest"], ("layer", layer))
        pool = Pool(_AT_ONCE)
        try:
            for _ in pool.imap_unordered(self._fetch_blob, blobs.values()):
                pass
        finally:
            pool.kill()

    def _fetch_blob(self, blob: tuple[str, dict[str, Any]]) -> None:
        kind, descriptor = blob
        self._ask(
            "GET",
            f"blobs/{descriptor['digest']}",
            kind,
            f"{descriptor['mediaType']}, */*",
            Expected(descriptor["digest"], descriptor["size"]),
        )

    def _ask(
        self, method: str, path: str, kind: str, accept: str, expected: Expected | None = None
    ) -> Answer:
        """Ask the registry, with credentials once it has challenged us; follow where it leads."""
        query = f"?ns={self._name.namespace}" if self._name.namespace else ""
        url = f"{self._registry}/v2/{self._name.repository}/{path}{query}"
        ask = Ask(method, url, kind, {"Accept": accept}, expected=expected)
        answer = self._send_authorized(ask)
        for _ in range(_MAX_REDIRECTS):
            if answer.status not in _REDIRECTS:
                return answer
            ask = replace(ask, url=_target(ask, answer))
            answer = self._send_authorized(ask) if self._is_ours(ask) else self._wire.send(ask)
        raise PullFailed(f"{kind}: more than {_MAX_REDIRECTS} redirects")

    def _is_ours(self, ask: Ask) -> bool:
        """Whether it goes to the registry itself; credentials go nowhere else."""
        return _origin(ask.url) == _origin(self._registry)

    def _send_authorized(self, ask: Ask) -> Answer:
        """Send with what the authorizer has; a 401 makes it get something newer, once."""
        answer = self._wire.send(self._signed(ask, 401))
        if answer.status != 401:
            return answer
        self._authorizer.answer_challenge(answer)
        return self._wire.send(self._signed(ask))

    def _signed(self, ask: Ask, *also_accepted: int) -> Ask:
        headers = {**ask.headers, **self._authorizer.headers}
        return replace(ask, headers=headers, accepted=(200, *_REDIRECTS, *also_accepted))


def _target(ask: Ask, answer: Answer) -> str:
    location = answer.header("location")
    if not location:
        raise PullFailed(f"{ask.kind}: a redirect to nowhere")
    return urljoin(ask.url, location)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
