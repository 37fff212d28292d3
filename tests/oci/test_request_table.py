"""Requests: the table of methods and paths, and what stands in the query."""

from dataclasses import fields

import pytest

from proxy.oci.digest import Digest
from proxy.oci.errors import (
    Unsupported,
)
from proxy.oci.grammar import parse
from proxy.oci.reference import Repository
from proxy.oci.request import (
    Action,
    BlobDelete,
    BlobPull,
    Catalog,
    ManifestDelete,
    ManifestPull,
    ManifestPut,
    Ping,
    Referrers,
    TagList,
    UploadStart,
    UploadStep,
    UploadVerb,
)
from tests.oci.targets import BASE, DIGEST, METHODS, PREFIXES, UPLOAD

MANIFEST = f"{BASE}/manifests/latest"
BY_DIGEST = f"{BASE}/manifests/{DIGEST}"
BLOB = f"{BASE}/blobs/{DIGEST}"
TABLE: dict[str, dict[str, type]] = {
    "/v2/": {"GET": Ping, "HEAD": Ping},
    "/v2": {"GET": Ping, "HEAD": Ping},
    "/v2/_catalog": {"GET": Catalog},
    MANIFEST: {
        "GET": ManifestPull,
        "HEAD": ManifestPull,
        "PUT": ManifestPut,
        "DELETE": ManifestDelete,
    },
    BY_DIGEST: {
        "GET": ManifestPull,
        "HEAD": ManifestPull,
        "PUT": ManifestPut,
        "DELETE": ManifestDelete,
    },
    BLOB: {"GET": BlobPull, "HEAD": BlobPull, "DELETE": BlobDelete},
    f"{BASE}/blobs/uploads/": {"POST": UploadStart},
    UPLOAD: {"GET": UploadStep, "PATCH": UploadStep, "PUT": UploadStep, "DELETE": UploadStep},
    "/artifactory/uploads/1?x=y": {
        "GET": UploadStep,
        "PATCH": UploadStep,
        "PUT": UploadStep,
        "DELETE": UploadStep,
    },
    f"{BASE}/tags/list": {"GET": TagList},
    f"{BASE}/referrers/{DIGEST}": {"GET": Referrers},
}
ACTIONS = {
    ManifestPull: Action.PULL,
    BlobPull: Action.PULL,
    TagList: Action.PULL,
    Referrers: Action.PULL,
    ManifestPut: Action.PUSH,
    UploadStart: Action.PUSH,
    UploadStep: Action.PUSH,
    ManifestDelete: Action.DELETE,
    BlobDelete: Action.DELETE,
}


@pytest.mark.parametrize("method", [*METHODS, "OPTIONS", "TRACE", "CONNECT", "get", "", "G\nET"])
@pytest.mark.parametrize("target", TABLE)
def test_method_and_path_say_the_request(target: str, method: str) -> None:
    """C5: the table of methods and paths is total: what isn't in it is 405 and names what is."""
    offers = TABLE[target]
    if method in offers:
        request = parse(method, target, PREFIXES).request
        assert type(request) is offers[method]
        assert request.path == ("/v2/" if target == "/v2" else target)
        assert getattr(request, "action", None) == ACTIONS.get(type(request))
    else:
        with pytest.raises(Unsupported) as refused:
            parse(method, target, PREFIXES)
        assert set(refused.value.headers["Allow"].split(", ")) == set(offers)
        assert "\n" not in refused.value.message


def test_every_request_in_a_repository_needs_an_action() -> None:
    """C5: no request can be added that names a repository and needs no right."""
    for kind in (value for row in TABLE.values() for value in row.values()):
        has_repository = "repository" in {field.name for field in fields(kind)}
        assert has_repository == (kind in ACTIONS)


@pytest.mark.parametrize(
    ("method", "target", "name", "tail"),
    [
        ("GET", f"/v2/a/blobs/b/blobs/{DIGEST}", "a/blobs/b", DIGEST),
        ("GET", "/v2/a/manifests/uploads/manifests/1", "a/manifests/uploads", "1"),
        ("GET", f"/v2/a/manifests/uploads/blobs/{DIGEST}", "a/manifests/uploads", DIGEST),
        ("GET", "/v2/a/blobs/uploads/manifests/latest", "a/blobs/uploads", "latest"),
        ("POST", "/v2/a/manifests/blobs/uploads/", "a/manifests", None),
        ("POST", "/v2/blobs/uploads/blobs/uploads/", "blobs/uploads", None),
        ("GET", "/v2/a/manifests/tags/list", "a/manifests", None),
        ("GET", "/v2/tags/list/tags/list", "tags/list", None),
        ("GET", f"/v2/a/blobs/referrers/{DIGEST}", "a/blobs", DIGEST),
        ("GET", f"/v2/a/referrers/blobs/{DIGEST}", "a/referrers", DIGEST),
        ("GET", "/v2/v2/manifests/v2", "v2", "v2"),
        ("GET", "/v2/manifests/manifests/manifests", "manifests", "manifests"),
        ("PATCH", "/v2/a/tags/blobs/uploads/list", "a/tags", None),
        ("PATCH", "/v2/a/blobs/upload/list", "a", None),
    ],
)
def test_name_with_words_of_paths(method: str, target: str, name: str, tail: str | None) -> None:
    """The last word that can be the kind is the kind; what stands before it is the name."""
    request = parse(method, target).request
    assert getattr(request, "repository", None) == name
    named = getattr(request, "reference", getattr(request, "digest", None))
    assert tail is None or str(named) == tail


@pytest.mark.parametrize("escape", ["%3A", "%3a"])
@pytest.mark.parametrize("kind", ["blobs", "manifests", "referrers"])
def test_escaped_colon_of_a_digest_is_read(kind: str, escape: str) -> None:
    """Some clients escape the colon of a digest; upstream it goes as the spec writes it."""
    target = f"{BASE}/{kind}/{DIGEST}"
    assert parse("GET", target.replace(":", escape)) == parse("GET", target)


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("0", 0),
        ("1", 1),
        ("1000", 1000),
        ("1001", 1000),
        ("2147483648", 1000),
        ("9" * 30, 1000),
        ("9" * 5000, 1000),
        ("0" * 40 + "5", 5),
        ("0" * 40, 0),
    ],
)
@pytest.mark.parametrize(
    "path", ["/v2/_catalog", f"{BASE}/tags/list", f"{BASE}/referrers/{DIGEST}"]
)
def test_page_size_is_clamped(path: str, text: str, n: int) -> None:
    """No page larger than 1000 entries is asked for upstream (CVE-2023-2253)."""
    request = parse("GET", f"{path}?n={text}").request
    assert request.path == f"{path}?n={n}"
    assert getattr(request, "n", n) == n


@pytest.mark.parametrize("path", ["/v2/_catalog", f"{BASE}/tags/list"])
@pytest.mark.parametrize(
    ("query", "forwarded"),
    [
        ("", ""),
        ("last=1.0", "?last=1.0"),
        ("last=", ""),
        ("n=5&last=a%2Fb", "?n=5&last=a%2Fb"),
        ("last=a%2Fb&n=5", "?n=5&last=a%2Fb"),
        ("last=a+b", "?last=a%20b"),
        ("last=%C3%A4", "?last=%C3%A4"),
        ("ns=docker.io", ""),
        ("ns=docker.io&n=5", "?n=5"),
        ("n=5&next_page=gAAA%3D%3D", "?n=5&next_page=gAAA%3D%3D"),
        ("next_page=gAAA==&x", "?next_page=gAAA==&x"),
    ],
)
def test_query_of_a_listing_goes_on(path: str, query: str, forwarded: str) -> None:
    """What pages a listing goes upstream, also in the words of other registries (`next_page`);
    the mirror's `ns`, which is for us, doesn't.
    """
    parsed = parse("GET", f"{path}?{query}")
    assert parsed.request.path == path + forwarded
    assert parsed.namespace == ("docker.io" if "ns=" in query else None)


def test_query_of_an_upload_goes_on_byte_exact() -> None:
    """The primary's state comes back to it as it was: order, escapes, empty values."""
    query = f"_state=a%2Fb+c%3d%3D&empty=&flag&z=;,@/?:!$'()*~&digest={DIGEST.replace(':', '%3a')}"
    request = parse("PUT", f"{UPLOAD}?{query}").request
    assert request == UploadStep(
        UploadVerb.PUT, Repository("team/app"), f"{UPLOAD}?{query}", Digest.parse(DIGEST)
    )


@pytest.mark.parametrize("ns", ["docker.io", "registry.example.com%3A5000", ""])
def test_namespace_of_a_mirror_is_kept_apart(ns: str) -> None:
    """`ns` is told beside the request and is no part of it."""
    for target in (MANIFEST, BLOB, f"{BASE}/tags/list", f"{BASE}/referrers/{DIGEST}"):
        parsed = parse("GET", f"{target}?ns={ns}")
        assert parsed.namespace == ns.replace("%3A", ":")
        assert parsed.request == parse("GET", target).request
    assert parse("GET", MANIFEST).namespace is None


@pytest.mark.parametrize(
    ("query", "digest", "mount", "source"),
    [
        ("", None, None, None),
        (f"digest={DIGEST}", DIGEST, None, None),
        (f"mount={DIGEST}&from=other/app", None, DIGEST, "other/app"),
        (f"mount={DIGEST.replace(':', '%3A')}&from=other%2Fapp", None, DIGEST, "other/app"),
        (f"mount={DIGEST}", None, DIGEST, None),
        (f"mount={DIGEST}&from=../app", None, DIGEST, None),
        ("digest=sha256:abc", None, None, None),
        ("digest-algorithm=sha512", None, None, None),
    ],
)
def test_upload_says_what_it_will_be(
    query: str, digest: str | None, mount: str | None, source: str | None
) -> None:
    """Digest, mount and source are read where they can be; the primary judges the rest."""
    request = parse("POST", f"{BASE}/blobs/uploads/?{query}").request
    assert isinstance(request, UploadStart)
    assert request.query == query
    found = (request.digest, request.mount, request.source)
    assert tuple(each and str(each) for each in found) == (digest, mount, source)
