"""Paths outside the spec's grammar end at the boundary."""

import pytest

from tests.support.raw_http import exchange, request_bytes
from tests.support.registry_client import Reply
from tests.web.conftest import REPOSITORY, Place
from tests.web.corpus import HOST

DIGEST = f"sha256:{64 * 'a'}"
TAG = f"/v2/{REPOSITORY}/manifests"
BLOBS = f"/v2/{REPOSITORY}/blobs"

PATHS = (
    # ways out of the tree
    "/v2/../v2/team/app/manifests/v1",
    "/v2/team/../team/app/manifests/v1",
    "/v2/%2e%2e/team/app/manifests/v1",
    "/v2/team/%2E%2E/app/manifests/v1",
    "/v2/..%2fteam/app/manifests/v1",
    "/v2/./team/app/manifests/v1",
    "/v2//team/app/manifests/v1",
    "//v2/team/app/manifests/v1",
    "/v2/team//app/manifests/v1",
    "/v2/team/app//manifests/v1",
    "/v2/team/app/manifests//v1",
    "/v2/team\\app/manifests/v1",
    # escapes
    "/v2/team%2fapp/manifests/v1",
    "/v2/team%2Fapp/manifests/v1",
    "/v2/team/app%00/manifests/v1",
    "/v2/team/app%0a/manifests/v1",
    "/v2/team/app%0d%0aX-A:%20b/manifests/v1",
    "/v2/team/app/manifests/v1%00",
    "/v2/team/app/manifests/v1%0a",
    "/v2/team/app/manifests/%76%31",
    "/%76%32/team/app/manifests/v1",
    "/v2/team%252fapp/manifests/v1",
    "/v2/team/app/manifests/v%",
    "/v2/team/app/manifests/v%zz",
    "/v2/team/app/manifests/v1%20",
    # names and tags
    "/v2/Team/app/manifests/v1",
    "/v2/team/-app/manifests/v1",
    "/v2/team/app-/manifests/v1",
    "/v2/team/.app/manifests/v1",
    "/v2/team/a..p/manifests/v1",
    "/v2/team/a__-p/manifests/v1",
    f"/v2/{'a' * 256}/manifests/v1",
    "/v2/manifests/v1",
    f"{TAG}/.v1",
    f"{TAG}/-v1",
    f"{TAG}/{'v' * 129}",
    f"{TAG}/",
    f"{TAG}/v1/",
    f"{TAG}/v1;x=y",
    f"{TAG}/v1/extra",
    # digests
    f"{BLOBS}/{DIGEST}%0a",
    f"{BLOBS}/{DIGEST[:-1]}",
    f"{BLOBS}/{DIGEST}a",
    f"{BLOBS}/{DIGEST.upper()}",
    f"{BLOBS}/sha256:{64 * 'A'}",
    f"{BLOBS}/sha256:{64 * 'g'}",
    f"{BLOBS}/sha256:",
    f"{BLOBS}/md5:{32 * 'a'}",
    f"{BLOBS}/sha1:{40 * 'a'}",
    f"{BLOBS}/sha256:../../../../etc/passwd",
    f"{BLOBS}/sha256:{63 * 'a'}%2f",
    f"{BLOBS}/sha256%253A{64 * 'a'}",
    f"{BLOBS}/{64 * 'a'}",
    f"{BLOBS}/:{64 * 'a'}",
    f"{BLOBS}/sha256:sha256:{64 * 'a'}",
    f"{TAG}/sha256:abc",
    # upload sessions
    f"{BLOBS}/uploads/..",
    f"{BLOBS}/uploads/.",
    f"{BLOBS}/uploads/../",
    f"{BLOBS}/uploads/../../../secret/app/blobs/uploads/x",
    f"{BLOBS}/uploads/a/b",
    f"{BLOBS}/uploads/%2e%2e",
    # what isn't the registry's
    "/",
    "/v1/_ping",
    "/v2/team/app",
    "/v2/team/app/tags",
    "/v2/team/app/tags/all",
    "/v2/_catalog/",
    "/v22/team/app/manifests/v1",
    "/metrics",
    "/healthz",
    "/readyz",
    "/explain?reference=team/app:v1",
    "/robots.txt",
    "/.well-known/security.txt",
)
QUERIES = (
    f"/v2/{REPOSITORY}/tags/list?n=-1",
    f"/v2/{REPOSITORY}/tags/list?n=x",
    f"/v2/{REPOSITORY}/tags/list?n=",
    f"/v2/{REPOSITORY}/tags/list?n=1&n=2",
    f"/v2/{REPOSITORY}/tags/list?n=\xb2",
    f"/v2/{REPOSITORY}/tags/list?last=%ff",
    f"/v2/{REPOSITORY}/tags/list?last=<script>",
    "/v2/_catalog?n=-1",
)


def _error(target: str, place: Place, method: str = "GET") -> Reply:
    raw = exchange(place.served.address, request_bytes(method, target, HOST), method=method)
    return Reply(raw.status, raw.fields, raw.body)  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [*PATHS, *QUERIES])
def test_an_odd_path_gets_a_clear_answer_and_goes_nowhere(place: Place, target: str):
    """C11: 400 or 404 in the spec's form; neither the primary nor the store is asked."""
    answer = _error(target, place)
    assert answer.status in (400, 404)
    assert answer.error_codes
    assert place.upstream.seen == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
@pytest.mark.parametrize("target", PATHS)
def test_an_odd_path_is_not_written_to(place: Place, method: str, target: str):
    """C11: the same holds for every verb that the primary would act on."""
    answer = _error(target, place, method)
    assert answer.status in (400, 404, 405)
    assert answer.error_codes
    assert place.upstream.seen == []


@pytest.mark.parametrize(
    ("sent", "forwarded"),
    [
        (f"/v2/{REPOSITORY}/manifests/v1?ns=127.0.0.1", f"/v2/{REPOSITORY}/manifests/v1"),
        (f"{BLOBS}/sha256%3A{64 * 'a'}", f"{BLOBS}/{DIGEST}"),
        (f"{BLOBS}/sha256%3a{64 * 'b'}?x=y", f"{BLOBS}/sha256:{64 * 'b'}"),
        ("/v2/manifests/blobs/tags/manifests/v1", "/v2/manifests/blobs/tags/manifests/v1"),
    ],
)
def test_what_is_authorized_is_what_is_forwarded(place: Place, sent: str, forwarded: str):
    """C11: the path for the primary is built anew, so it is the one that was looked at."""
    _error(sent, place)
    assert place.upstream.seen
    assert {seen.target for seen in place.upstream.seen} == {forwarded}


def test_a_page_size_is_cut_to_what_a_page_may_hold(place: Place):
    """CVE-2023-2253: a huge `n` isn't passed on."""
    assert _error(f"/v2/{REPOSITORY}/tags/list?n=2147483648", place).status == 200
    assert [seen.target for seen in place.upstream.seen] == [f"/v2/{REPOSITORY}/tags/list?n=1000"]
