"""Requests: what is authorized is what is forwarded (C11)."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.oci.errors import (
    BadRequest,
    DigestInvalid,
    ManifestUnknown,
    NameInvalid,
    NotServedHere,
    Unsupported,
)
from proxy.oci.grammar import MAX_TARGET_CHARACTERS, parse
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
from tests.oci.strategies import PATH_WORDS, digests, references, repositories
from tests.oci.targets import BASE, DIGEST, METHODS, PREFIXES, UPLOAD

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
