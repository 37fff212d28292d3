"""Requests as values: what is asked for, without a string path.

Every value knows its `path`, from which the target that goes upstream is built, so what is
authorized is what is forwarded; and the `action` that a caller needs (distribution-spec,
"Endpoints"; the token spec's `pull`, `push` and `delete`). `grammar` makes them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar
from urllib.parse import quote

from proxy.oci.caller import ANONYMOUS, Caller
from proxy.oci.digest import Digest
from proxy.oci.reference import Reference, Repository


class Action(StrEnum):
    """What a caller needs to be allowed to do in a repository."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class ManifestPull:
    """Read one manifest, by tag or digest (end-3)."""

    repository: Repository
    reference: Reference
    caller: Caller = ANONYMOUS

    action: ClassVar[Action] = Action.PULL

    @property
    def path(self) -> str:
        return f"/v2/{self.repository}/manifests/{self.reference}"


@dataclass(frozen=True, slots=True)
class BlobPull:
    """Read one blob (end-2)."""

    repository: Repository
    digest: Digest
    caller: Caller = ANONYMOUS

    action: ClassVar[Action] = Action.PULL

    @property
    def path(self) -> str:
        return f"/v2/{self.repository}/blobs/{self.digest}"


Pull = ManifestPull | BlobPull


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask for the API version and for the challenge (end-1)."""

    path: ClassVar[str] = "/v2/"


@dataclass(frozen=True, slots=True)
class TagList:
    """List tags, in pages where `n` is given (end-8).

    *others* are further parameters as they came: some registries have their own words for pages.
    """

    repository: Repository
    n: int | None = None
    last: str = ""
    others: str = ""
    caller: Caller = ANONYMOUS

    action: ClassVar[Action] = Action.PULL

    @property
    def path(self) -> str:
        return f"/v2/{self.repository}/tags/list{_page_query(self.n, self.last, self.others)}"


@dataclass(frozen=True, slots=True)
class Referrers:
    """List the manifests whose subject is a digest (end-12). The query is kept as it came, save
    for `ns`, which isn't for the primary, and an `n` beyond what a page may hold.
    """

    repository: Repository
    digest: Digest
    query: str = ""
    caller: Caller = ANONYMOUS

    action: ClassVar[Action] = Action.PULL

    @property
    def path(self) -> str:
        query = f"?{self.query}" if self.query else ""
        return f"/v2/{self.repository}/referrers/{self.digest}{query}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """List repositories: no part of the spec, offered by many registries. See `TagList`."""

    n: int | None = None
    last: str = ""
    others: str = ""
    caller: Caller = ANONYMOUS

    @property
    def path(self) -> str:
        return f"/v2/_catalog{_page_query(self.n, self.last, self.others)}"


@dataclass(frozen=True, slots=True)
class ManifestPut:
    """Push a manifest (end-7)."""

    repository: Repository
    reference: Reference

    action: ClassVar[Action] = Action.PUSH

    @property
    def path(self) -> str:
        return f"/v2/{self.repository}/manifests/{self.reference}"


@dataclass(frozen=True, slots=True)
class ManifestDelete:
    """Delete a manifest or a tag (end-9)."""

    repository: Repository
    reference: Reference

    action: ClassVar[Action] = Action.DELETE

    @property
    def path(self) -> str:
        return f"/v2/{self.repository}/manifests/{self.reference}"


@dataclass(frozen=True, slots=True)
class BlobDelete:
    """Delete a blob's link (end-10)."""

    repository: Repository
    digest: Digest

    action: ClassVar[Action] = Action.DELETE

    @property
    def path(self) -> str:
        return f"/v2/{self.repository}/blobs/{self.digest}"


@dataclass(frozen=True, slots=True)
class UploadStart:
    """Begin an upload: a session, a whole blob, or a mount (end-4, end-11).

    The query goes on byte-exact; `digest`, `mount` and `source` (from where) are what it says of
    them.
    """

    repository: Repository
    query: str = ""
    digest: Digest | None = None
    mount: Digest | None = None
    source: Repository | None = None

    action: ClassVar[Action] = Action.PUSH

    @property
    def path(self) -> str:
        return f"/v2/{self.repository}/blobs/uploads/" + (f"?{self.query}" if self.query else "")


class UploadVerb(StrEnum):
    """What is done with an upload session (end-5, end-6, end-13, cancel)."""

    PATCH = "PATCH"
    PUT = "PUT"
    GET = "GET"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class UploadStep:
    """Go on with an upload session. `target` is the path and query as the primary named it."""

    verb: UploadVerb
    repository: Repository | None
    target: str
    digest: Digest | None = None

    action: ClassVar[Action] = Action.PUSH

    @property
    def path(self) -> str:
        return self.target


Write = ManifestPut | ManifestDelete | BlobDelete | UploadStart | UploadStep
Listing = TagList | Referrers | Catalog
Request = Pull | Ping | Listing | Write


def _page_query(n: int | None, last: str, others: str) -> str:
    parts = [] if n is None else [f"n={n}"]
    if last:
        parts.append(f"last={quote(last, safe='')}")
    if others:
        parts.append(others)
    return "?" + "&".join(parts) if parts else ""
