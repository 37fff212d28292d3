"""The grammar: a request's method and raw target, parsed once into a value of `request`.

Everything is matched in full. What can't be told apart safely is refused, never mended.
"""

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote_plus

from proxy.oci.digest import Digest
from proxy.oci.errors import BadRequest, DigestInvalid, NameInvalid, NotServedHere, Unsupported
from proxy.oci.reference import Repository, parse_reference
from proxy.oci.request import (
    BlobDelete,
    BlobPull,
    Catalog,
    ManifestDelete,
    ManifestPull,
    ManifestPut,
    Ping,
    Referrers,
    Request,
    TagList,
    UploadStart,
    UploadStep,
    UploadVerb,
)

MAX_TARGET_CHARACTERS = 8000
MAX_PAGE = 1000
MAX_LAST_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class Parsed:
    """A request with what stands beside it in the target: the `ns` parameter of mirrors."""

    request: Request
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class _Target:
    """A target taken apart: raw path below /v2/, query as sent, query decoded."""

    raw_path: str
    raw_query: str
    query: Mapping[str, str] = field(default_factory=dict)


_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._~:@!$&'()*+,;=/-]*")
_PLAIN_QUERY = re.compile(r"[A-Za-z0-9._~:@!$&'()*+,;=/?%-]*")
_DETOURS = re.compile(r"/\.\.?(?:/|\Z)|//")
_SESSION = re.compile(r"[A-Za-z0-9._~=:+,@-]{1,2048}")


def parse(method: str, raw_target: str, location_prefixes: tuple[str, ...] = ()) -> Parsed:
    """Read a request line's method and target.

    *location_prefixes* are paths outside /v2/ that the primary uses for upload sessions.

    Raises: BadRequest, NameInvalid, DigestInvalid: the grammar is broken. ManifestUnknown: a
    reference that can't exist. NotServedHere: no path of ours. Unsupported: not this method.
    """
    target = _take_apart(raw_target)
    if target.raw_path.startswith(location_prefixes or ("\0",)):
        return Parsed(_upload_step(method, None, target))
    if not target.raw_path.startswith("/v2/"):
        if target.raw_path != "/v2":
            raise NotServedHere
        target = replace(target, raw_path="/v2/")
    return Parsed(_route(method, target), target.query.get("ns"))


def _take_apart(raw_target: str) -> _Target:
    if not raw_target.startswith("/"):
        raise BadRequest("the request target must be an absolute path")
    if len(raw_target) > MAX_TARGET_CHARACTERS:
        raise BadRequest("the request target is too long")
    raw_path, _, raw_query = raw_target.partition("?")
    # Some clients escape the colon of a digest; nothing else needs escaping in our grammar.
    if "%" in raw_path:
        raw_path = raw_path.replace("%3A", ":").replace("%3a", ":")
    if _PLAIN_PATH.fullmatch(raw_path) is None:
        raise NameInvalid("the path has characters that no repository path has")
    if ("/." in raw_path or "//" in raw_path) and _DETOURS.search(raw_path) is not None:
        raise NameInvalid("the path has a component that leads elsewhere")
    if not raw_query:
        return _Target(raw_path, "")
    if _PLAIN_QUERY.fullmatch(raw_query) is None:
        raise BadRequest("the query has characters that must be escaped")
    return _Target(raw_path, raw_query, _decoded_query(raw_query))


def _decoded_query(raw_query: str) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(raw_query, keep_blank_values=True, errors="strict", max_num_fields=32)
    except ValueError as exc:
        raise BadRequest("the query can't be read") from exc
    query = dict(pairs)
    if len(query) != len(pairs):
        raise BadRequest("a query parameter stands twice")
    return query


def _route(method: str, target: _Target) -> Request:
    rest = target.raw_path[len("/v2/") :]
    if not rest:
        return _only(method, {"GET": Ping, "HEAD": Ping})
    if rest == "_catalog":
        return _only(method, {"GET": lambda: Catalog(*_page(target))})
    name, kind, tail = _split(rest)
    return _KINDS[kind](method, name, tail, target)


def _split(rest: str) -> tuple[str, str, str]:
    """Split `name/kind/tail`, taking the last kind: a name may hold such a word itself."""
    for kind in _KINDS:
        name, found, tail = rest.rpartition(f"/{kind}/")
        if found and "/" not in tail.removesuffix("/"):
            return name, kind, tail
    raise NotServedHere


def _only(method: str, offers: Mapping[str, Callable[[], Request]]) -> Request:
    if method not in offers:
        error = Unsupported(f"{method} is not offered here" if method.isalpha() else "")
        error.headers["Allow"] = ", ".join(offers)
        raise error
    return offers[method]()


def _manifests(method: str, name: str, tail: str, _target: _Target) -> Request:
    repository = Repository.parse(name)
    reference = parse_reference(tail)

    def pull() -> Request:
        return ManifestPull(repository, reference)

    return _only(
        method,
        {
            "GET": pull,
            "HEAD": pull,
            "PUT": lambda: ManifestPut(repository, reference),
            "DELETE": lambda: ManifestDelete(repository, reference),
        },
    )


def _blobs(method: str, name: str, tail: str, _target: _Target) -> Request:
    repository = Repository.parse(name)
    digest = Digest.parse(tail)

    def pull() -> Request:
        return BlobPull(repository, digest)

    return _only(
        method, {"GET": pull, "HEAD": pull, "DELETE": lambda: BlobDelete(repository, digest)}
    )


def _uploads(method: str, name: str, tail: str, target: _Target) -> Request:
    repository = Repository.parse(name)
    if tail:
        if _SESSION.fullmatch(tail.removesuffix("/")) is None:
            raise NotServedHere
        return _upload_step(method, repository, target)
    query = target.query
    return _only(
        method,
        {
            "POST": lambda: UploadStart(
                repository,
                target.raw_query,
                _digest_in(query, "digest"),
                _digest_in(query, "mount"),
                _repository_in(query, "from"),
            )
        },
    )


def _upload_step(method: str, repository: Repository | None, target: _Target) -> Request:
    path = target.raw_path + (f"?{target.raw_query}" if target.raw_query else "")
    digest = _digest_in(target.query, "digest")

    def step() -> Request:
        return UploadStep(UploadVerb(method), repository, path, digest)

    return _only(method, dict.fromkeys(UploadVerb, step))


def _digest_in(query: Mapping[str, str], key: str) -> Digest | None:
    """Give the digest a query names; one that we can't read is the primary's to judge."""
    try:
        return Digest.parse(query[key]) if key in query else None
    except DigestInvalid:
        return None


def _repository_in(query: Mapping[str, str], key: str) -> Repository | None:
    """Give the repository a query names; one that we can't read is the primary's to judge."""
    try:
        return Repository.parse(query[key]) if key in query else None
    except NameInvalid:
        return None


def _tags(method: str, name: str, tail: str, target: _Target) -> Request:
    if tail != "list":
        raise NotServedHere
    repository = Repository.parse(name)
    return _only(method, {"GET": lambda: TagList(repository, *_page(target))})


def _referrers(method: str, name: str, tail: str, target: _Target) -> Request:
    repository = Repository.parse(name)
    digest = Digest.parse(tail)
    return _only(method, {"GET": lambda: Referrers(repository, digest, _clamped(target))})


_KINDS = {
    "manifests": _manifests,
    "blobs/uploads": _uploads,
    "blobs/upload": _uploads,  # as ghcr.io names its sessions
    "blobs": _blobs,
    "tags": _tags,
    "referrers": _referrers,
}


def _page(target: _Target) -> tuple[int | None, str, str]:
    """Read `n`, `last` and, as they came, all others but `ns`."""
    last = target.query.get("last", "")
    if len(last) > MAX_LAST_CHARACTERS:
        raise BadRequest("last is longer than any name")
    others = _without(target.raw_query, {"n", "last", "ns"})
    return _page_size(target.query.get("n")), last, others


def _page_size(text: str | None) -> int | None:
    """Read `n`, clamped to what a page may hold (CVE-2023-2253)."""
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise BadRequest("n must be a number of entries, 0 or more")
    return min(int(text.lstrip("0")[:10] or "0"), MAX_PAGE)


def _clamped(target: _Target) -> str:
    """Give a query as it came, but for `ns` and a page size that says it in another way."""
    text = target.query.get("n")
    n = _page_size(text)
    if n is None or str(n) == text:
        return _without(target.raw_query, {"ns"})
    return "&".join(filter(None, (f"n={n}", _without(target.raw_query, {"ns", "n"}))))


def _without(raw_query: str, names: AbstractSet[str]) -> str:
    """Give a query without some parameters, the others byte-exact."""
    parts = [part for part in raw_query.split("&") if part]
    return "&".join(part for part in parts if unquote_plus(part.partition("=")[0]) not in names)
