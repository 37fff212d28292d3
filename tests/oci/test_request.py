"""Requests: what is authorized is what is forwarded (C11)."""

import re
from dataclasses import fields

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.oci.digest import Digest
from proxy.oci.errors import (
    BadRequest,
    DigestInvalid,
    ManifestUnknown,
    NameInvalid,
    NotServedHere,
    Unsupported,
)
from proxy.oci.reference import Repository, Tag
from proxy.oci.request import (
    MAX_TARGET_CHARACTERS,
    Action,
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
    is_by_tag,
    parse,
)
from tests.oci.strategies import PATH_WORDS, digests, references, repositories, tags

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
PREFIXES = ("/artifactory/uploads/",)
DIGEST = str(Digest.of(b""))
HEX = DIGEST.partition(":")[2]

REFUSALS = (
    BadRequest,
    NameInvalid,
    DigestInvalid,
    ManifestUnknown,
    NotServedHere,
    Unsupported,
)
PLAIN_TARGET = re.compile(
    r"/v2/[A-Za-z0-9._~:@!$&'()*+,;=/-]*(?:\?[A-Za-z0-9._~:@!$&'()*+,;=/?%-]*)?"
)
lasts = st.text(max_size=20) | st.text("&=+%?/#; \u00e4", max_size=20)
sizes = st.none() | st.integers(0, 1000)
sessions = st.from_regex(r"[A-Za-z0-9_=-][A-Za-z0-9._~=:+,@-]{0,80}", fullmatch=True)
queries = st.sampled_from(
    ["", "_state=abc%3D%3D", "digest=sha256%3Aabc", f"digest={DIGEST}", "a=1&b=%2F..%2F&c=", "x"]
)


def starts() -> st.SearchStrategy[UploadStart]:
    plain = st.builds(UploadStart, repositories)
    whole = st.builds(
        lambda name, digest: UploadStart(name, f"digest={digest}", digest), repositories, digests
    )
    mount = st.builds(
        lambda name, digest, source: UploadStart(
            name, f"mount={digest}&from={source}", mount=digest, source=source
        ),
        repositories,
        digests,
        repositories,
    )
    return plain | whole | mount


def steps() -> st.SearchStrategy[UploadStep]:
    return st.builds(
        lambda verb, name, session: UploadStep(
            verb, name, f"/v2/{name}/blobs/uploads/{session}?_state=a%2Fb%3D"
        ),
        st.sampled_from(UploadVerb),
        repositories,
        sessions,
    )


requests = st.one_of(
    st.tuples(st.sampled_from(["GET", "HEAD"]), st.builds(ManifestPull, repositories, references)),
    st.tuples(st.sampled_from(["GET", "HEAD"]), st.builds(BlobPull, repositories, digests)),
    st.tuples(st.sampled_from(["GET", "HEAD"]), st.just(Ping())),
    st.tuples(st.just("GET"), st.builds(TagList, repositories, sizes, lasts)),
    st.tuples(st.just("GET"), st.builds(Catalog, sizes, lasts)),
    st.tuples(
        st.just("GET"),
        st.builds(
            Referrers, repositories, digests, st.sampled_from(["", "artifactType=a%2Fb", "n=5"])
        ),
    ),
    st.tuples(st.just("PUT"), st.builds(ManifestPut, repositories, references)),
    st.tuples(st.just("DELETE"), st.builds(ManifestDelete, repositories, references)),
    st.tuples(st.just("DELETE"), st.builds(BlobDelete, repositories, digests)),
    st.tuples(st.just("POST"), starts()),
    steps().map(lambda step: (str(step.verb), step)),
)


@given(request=requests)
def test_path_of_a_request_is_read_back(request: tuple[str, Request]) -> None:
    """C11: the path that goes upstream means the request that was authorized, to the last part,
    also where a repository's name has the words of the paths in it.
    """
    method, value = request
    assert parse(method, value.path).request == value


FRAGMENTS = (
    *("/", "//", ".", "..", "%2e", "%2E%2e", "%2f", "%00", "%0a", "\n", "\r", "\0", " ", "\\", "#"),
    *("?", "&", "=", "%", "%3A", "%3a", ":", "@", "\u00e4", "\udcff", "A", "_catalog", "latest"),
    *(DIGEST, DIGEST.upper(), HEX, f"mount={DIGEST}", "digest=", "n=5", "n=-1", "ns=a"),
    *("last=%C3%A4", "last=%FF", "a", "b-c", "x" * 300),
    *PATH_WORDS,
    *(f"/{word}/" for word in PATH_WORDS),
)


@given(
    method=st.sampled_from(METHODS),
    parts=st.lists(st.sampled_from(FRAGMENTS), max_size=9),
    raw=st.text(),
)
@example(method="GET", parts=["a/tags/list?last=", "!" * 7900], raw="")
@example(method="GET", parts=["a/tags/list?last=", "%C3%A4" * 1300], raw="")
@example(method="GET", parts=["a/tags/list?next_page=%2F&n=5&", "a=%6e&%6E=5"], raw="")
@example(method="GET", parts=["a/tags/list?%6e=5"], raw="")
@example(method="PUT", parts=["a/blobs/uploads/.."], raw="")
@example(method="PATCH", parts=["a/blobs/uploads/./"], raw="")
@example(method="GET", parts=[f"a/referrers/{DIGEST}?n=1000000000"], raw="")
def test_any_target_is_refused_or_means_one_thing(method: str, parts: list[str], raw: str) -> None:
    """C11: any target is refused with an error of ours, or gives a request whose path is plain,
    has no dot segment, no escape and no empty segment, and is read back as the same request.
    """
    target = f"/v2/{''.join(parts)}{raw}"
    try:
        request = parse(method, target).request
    except REFUSALS:
        return
    path = request.path
    assert PLAIN_TARGET.fullmatch(path)
    segments = path.partition("?")[0].removesuffix("/").split("/")[1:]
    assert not {"", ".", ".."} & set(segments)
    assert len(path) <= MAX_TARGET_CHARACTERS
    assert parse(method, path).request == request


BASE = "/v2/team/app"
UPLOAD = f"{BASE}/blobs/uploads/0b5e-11"


@pytest.mark.parametrize(
    "target",
    [
        f"{BASE}/manifests/%2e%2e",
        f"{BASE}/manifests/%2E",
        "/v2/%2e%2e/manifests/latest",
        "/v2/../manifests/latest",
        "/v2/./app/manifests/latest",
        "/v2/team/../app/manifests/latest",
        "/v2/team/%2e%2e/app/manifests/latest",
        "/v2/team%2fapp/manifests/latest",
        "/v2/team%2Fapp/manifests/latest",
        "/v2/team%252fapp/manifests/latest",
        "/v2//app/manifests/latest",
        "/v2/team//app/manifests/latest",
        "/v2//manifests/latest",
        f"{BASE}//manifests/latest",
        f"{BASE}/manifests//latest",
        f"{BASE}/manifests/latest/",
        f"{BASE}/manifests/latest%00",
        f"{BASE}/manifests/latest%0a",
        f"{BASE}/manifests/latest%0A",
        f"{BASE}/manifests/latest\n",
        f"{BASE}/manifests/latest\r\n",
        f"{BASE}/manifests/latest\0",
        f"{BASE}/manifests/latest ",
        f"{BASE}/manifests/latest%20",
        f"{BASE}/manifests/late\u00df",
        f"{BASE}/manifests/late%C3%9F",
        f"{BASE}/manifests/late\\st",
        f"{BASE}/manifests/latest#",
        f"{BASE}/manifests/{'x' * 129}",
        f"/v2/{'x' * 256}/manifests/latest",
        f"/v2/{'a/' * 3980}b/manifests/latest",
        f"/v2/{'a' * 100_000}/manifests/latest",
        "/v2/Team/App/manifests/latest",
        f"{BASE}/blobs/{DIGEST}%0a",
        f"{BASE}/blobs/{DIGEST}\n",
        f"{BASE}/blobs/{DIGEST}/",
        f"{BASE}/blobs/{DIGEST.upper()}",
        f"{BASE}/blobs/{DIGEST.replace(':', '%253A')}",
        f"{BASE}/blobs/{HEX}",
        f"{BASE}/blobs/sha256:..",
        f"{BASE}/blobs/sha256:%2e%2e%2f",
        f"{BASE}/blobs/..",
        f"{BASE}/blobs/latest",
        f"{BASE}/referrers/latest",
        f"{BASE}/referrers/{DIGEST}/",
        f"{BASE}/tags/list/",
        f"{BASE}/tags/../tags/list",
        f"{BASE}/blobs/uploads/..",
        f"{BASE}/blobs/uploads/.",
        f"{BASE}/blobs/uploads/../",
        f"{BASE}/blobs/uploads/..?digest={DIGEST}",
        f"{BASE}/blobs/uploads/%2e%2e",
        f"{BASE}/blobs/uploads/a/../b",
        f"{BASE}/blobs/uploads//",
        f"{BASE}/blobs/uploads/{'x' * 2049}",
        f"{BASE}/blobs/upload/..",
        f"{UPLOAD}\n",
        f"{UPLOAD}?_state=a b",
        f"{UPLOAD}?_state=a\n",
        f"{UPLOAD}?_state=\u00e4",
        f"{UPLOAD}?a=1#b",
        f"{UPLOAD}?digest={DIGEST}&digest={DIGEST}",
        f"{UPLOAD}?_state=%FF",
        f"{UPLOAD}?{'&'.join(f'a{number}=1' for number in range(40))}",
        f"{UPLOAD}?_state={'x' * MAX_TARGET_CHARACTERS}",
        "http://registry.example.com/v2/",
        "//registry.example.com/v2/",
        "registry.example.com:443",
        "*",
        "",
        "/",
        "/v1/",
        "/v2",
        "/v3/",
        "/V2/",
        "/v2/..",
        "/v2/x",
        "/v2/manifests/latest",
        "/v2/_catalog/",
        "/v2/_catalog?n=-1",
        "/v2/_catalog?n=x",
        "/v2/_catalog?n=",
        "/v2/_catalog?n=1&n=2",
        "/v2/_catalog?n=%D9%A1",
        "/v2/_catalog?n=+1",
        "/v2/_catalog?n=1.0",
        "/v2/_catalog?last=a&last=b",
        f"{BASE}/tags/list?ns=a&ns=b",
        f"{BASE}/tags/list?n=1&%6e=2",
        f"{BASE}/tags/list?last={'x' * 600}",
        f"{BASE}/referrers/{DIGEST}?n=-1",
        f"{BASE}/referrers/{DIGEST}?artifactType=a&artifactType=b",
        "/artifactory/uploads/../v2/other/manifests/latest",
        "/artifactory/uploads/./x",
        "/artifactory/uploads//x",
        "/artifactory/uploads/%2e%2e/x",
        "/artifactory/x",
    ],
)
def test_target_that_means_no_request_is_refused(target: str) -> None:
    """C11: escapes, dot segments, empty segments, line ends, other letters and lengths are refused
    with every method; the ping without its slash is for reads.
    """
    for method in METHODS:
        if (method, target) in (("GET", "/v2"), ("HEAD", "/v2")):
            continue
        with pytest.raises(REFUSALS):
            parse(method, target, PREFIXES)


# --- the table of methods and paths ---------------------------------------------------------------

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


# --- what stands in the query ---------------------------------------------------------------------


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


@given(name=repositories, tag=tags, digest=digests)
def test_pull_is_by_tag_or_not(name: Repository, tag: Tag, digest: Digest) -> None:
    """Only a manifest that is asked for by tag may change between two pulls."""
    assert is_by_tag(ManifestPull(name, tag))
    assert not is_by_tag(ManifestPull(name, digest))
    assert not is_by_tag(BlobPull(name, digest))
