"""Headers pass by name or not at all, in both directions."""

from collections.abc import Iterator

import pytest

from tests.support.accounts import Accounts
from tests.support.hostile import (
    ANY_PATH,
    BLOBS,
    MANIFESTS,
    REFERRERS,
    TAGS,
    UPLOADS,
    BasicLogin,
    Header,
    HostileUpstream,
    MoreHeaders,
    hostile_upstream,
)
from tests.support.hostile import Settings as UpstreamSettings
from tests.support.layers import random_blob
from tests.support.raw_http import RawReply, exchange, request_bytes
from tests.web.conftest import REPOSITORY, Place, blob_path
from tests.web.corpus import HOST
from tests.web.serving import serving

# --- from the primary to the client ---

ODD_UPSTREAM = (
    ("X-Ms-Copy-Source", "private/repository"),
    ("Set-Cookie", "session=secret"),
    ("Server", "upstream/1.0"),
    ("X-Powered-By", "upstream"),
    ("Via", "1.1 upstream"),
    ("X-Cache", "HIT"),
    ("X-Amz-Request-Id", "abc"),
    ("X-Amz-Meta-Owner", "someone"),
    ("X-Goog-Hash", "abc"),
    ("X-Request-Id", "theirs"),
    ("X-Correlation-Id", "theirs"),
    ("X-Harbor-Csrf-Token", "secret"),
    ("X-Registry-Auth", "secret"),
    ("Authorization", "Bearer secret"),
    ("Proxy-Authenticate", 'Basic realm="theirs"'),
    ("Proxy-Authorization", "Basic secret"),
    ("Authentication-Info", 'nextnonce="x"'),
    ("Strict-Transport-Security", "max-age=1"),
    ("Content-Security-Policy", "default-src *"),
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Credentials", "true"),
    ("Alt-Svc", 'h2="evil.test:443"'),
    ("Refresh", "0; url=http://evil.test"),
    ("Clear-Site-Data", '"*"'),
    ("Public-Key-Pins", 'pin-sha256="x"'),
    ("Content-Disposition", "attachment; filename=x"),
    ("Content-Language", "en"),
    ("Cache-Control", "public, max-age=31536000"),
    ("Expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
    ("Pragma", "x"),
    ("Vary", "*"),
    ("Trailer", "X-Later"),
    ("Upgrade", "h2c"),
    ("Keep-Alive", "timeout=1"),
    ("Connection", "X-Secret, X-Ms-Copy-Source"),
    ("Proxy-Connection", "keep-alive"),
    ("X-Secret", "secret"),
    ("Link", "<http://evil.test/>; rel=preload"),
    ("Location", "http://evil.test/"),
    ("SourceMap", "/x"),
    ("Report-To", "{}"),
    ("NEL", "{}"),
    ("X-Accel-Redirect", "/internal"),
    ("X-Sendfile", "/etc/passwd"),
)
OURS = {
    "accept-ranges",
    "content-length",
    "content-type",
    "date",
    "docker-content-digest",
    "docker-distribution-api-version",
    "etag",
    "server",
    "x-content-type-options",
    "x-request-id",
}


def _names(reply: RawReply) -> set[str]:
    return {name.lower() for name, _ in reply.fields.pairs}


@pytest.mark.parametrize(
    ("method", "target", "path"),
    [
        ("GET", f"/v2/{REPOSITORY}/manifests/v1", MANIFESTS),
        ("HEAD", f"/v2/{REPOSITORY}/manifests/v2", MANIFESTS),
        ("GET", "blob", BLOBS),
        ("HEAD", "blob", BLOBS),
        ("GET", f"/v2/{REPOSITORY}/tags/list", TAGS),
        ("GET", f"/v2/{REPOSITORY}/referrers/sha256:{64 * 'a'}", REFERRERS),
        ("GET", f"/v2/{REPOSITORY}/manifests/absent", MANIFESTS),
        ("GET", "/v2/", ANY_PATH),
    ],
)
def test_response_headers_of_reads_are_an_allow_list(
    place: Place, method: str, target: str, path: str
):
    """C28, T9: of more than thirty odd headers of the primary none reaches a client of a read."""
    place.upstream.contents.repository(REPOSITORY).tags["v2"] = place.image.digest
    if target == "blob":
        target = blob_path(place.add(random_blob(1000, f"odd-{method}")))
    odd = tuple(pair for pair in ODD_UPSTREAM if pair[0] != "Location" and _may_have(pair, path))
    fault = place.upstream.inject(MoreHeaders(odd), path=path, times=None)
    reply = exchange(place.served.address, request_bytes(method, target, HOST), method=method)
    assert fault.fired or target == "/v2/"
    assert _names(reply) <= OURS
    assert reply.header("Server") == "proxima"
    assert reply.header("X-Content-Type-Options") == "nosniff"
    assert "secret" not in str(reply.fields) + reply.body.decode("latin-1")


def _may_have(pair: tuple[str, str], path: str) -> bool:
    return pair[0] != "Link" or path not in (TAGS, REFERRERS)  # there it names the next page


def test_response_headers_of_writes_are_an_allow_list(place: Place):
    """C28, T9: nor a client that pushes; what the spec gives pushes does."""
    odd = tuple(pair for pair in ODD_UPSTREAM if pair[0] != "Location")
    known = (("OCI-Chunk-Min-Length", "7"), ("RateLimit-Limit", "9"), ("Warning", '299 - "x"'))
    fault = place.upstream.inject(MoreHeaders(odd + known), path=UPLOADS)
    uploads = f"/v2/{REPOSITORY}/blobs/uploads/"
    request = request_bytes("POST", uploads, HOST, ("Content-Length", "0"))
    reply = exchange(place.served.address, request)
    assert (fault.fired, reply.status) == (1, 202)
    passing = {"location", "range", "docker-upload-uuid", "oci-chunk-min-length"}
    assert _names(reply) <= OURS | passing | {"ratelimit-limit", "warning"}
    assert reply.header("OCI-Chunk-Min-Length") == "7"
    assert reply.header("RateLimit-Limit") == "9"
    assert reply.header("Location").startswith(uploads)


@pytest.mark.parametrize("name", ["Warning", "Link", "Content-Type", "Docker-Upload-UUID"])
@pytest.mark.parametrize("value", ["caf\xe9", "\xff\xfe", "a\x7fb", "\xc3\xa9"])
def test_a_header_that_is_no_text_does_not_break_the_answer(place: Place, value: str, name: str):
    """C28: odd bytes in a header of the primary cost the header, never the answer."""
    fault = place.upstream.inject(Header(name, value), times=2)
    uploads = f"/v2/{REPOSITORY}/blobs/uploads/"
    for method, target in (("POST", uploads), ("GET", f"/v2/{REPOSITORY}/tags/list")):
        request = request_bytes(method, target, HOST, ("Content-Length", "0"))
        reply = exchange(place.served.address, request)
        assert reply.status in (200, 202)
        assert value not in str(reply.fields)
    assert fault.fired == 2


# --- from the client to the primary ---

ODD_REQUEST = (
    ("Connection", "keep-alive, Authorization, X-Forwarded-For, Host, Via, Content-Length"),
    ("Keep-Alive", "timeout=1"),
    ("Proxy-Connection", "keep-alive"),
    ("Proxy-Authorization", "Basic c2VjcmV0"),
    ("Te", "trailers"),
    ("Trailer", "X-Later"),
    ("Cookie", "session=secret"),
    ("Referer", "http://evil.test/"),
    ("Origin", "http://evil.test"),
    ("Forwarded", "for=10.0.0.1;host=evil.test"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Port", "1"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Real-Ip", "10.0.0.1"),
    ("X-Original-Url", "/v2/other/manifests/v1"),
    ("X-Rewrite-Url", "/v2/other/manifests/v1"),
    ("X-Http-Method-Override", "DELETE"),
    ("X_Forwarded_For", "10.0.0.1"),
    ("Content_Length", "7"),
    ("Transfer_Encoding", "chunked"),
    ("X-Registry-Auth", "secret"),
    ("X-Request-Id", "theirs"),
    ("Max-Forwards", "0"),
    ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("Accept-Encoding", "gzip, br"),
    ("X-Odd", "\xff\xfe"),
    ("User-Agent", "evil/1.0 (\xff)"),
)
TO_PRIMARY = {
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "user-agent",
    "via",
}


@pytest.mark.parametrize(
    ("method", "target", "extra"),
    [
        ("GET", f"/v2/{REPOSITORY}/manifests/headers", ()),
        ("HEAD", f"/v2/{REPOSITORY}/blobs/sha256:{64 * 'd'}", ()),
        ("GET", f"/v2/{REPOSITORY}/tags/list", ()),
        ("POST", f"/v2/{REPOSITORY}/blobs/uploads/", (("Content-Length", "0"),)),
        ("DELETE", f"/v2/{REPOSITORY}/manifests/headers", ()),
    ],
)
def test_request_headers_are_an_allow_list(
    place: Place, method: str, target: str, extra: tuple[tuple[str, str], ...]
):
    """C28, T9: hop-by-hop, Connection-named, forwarding and odd headers don't go on."""
    request = request_bytes(method, target, HOST, *ODD_REQUEST, *extra)
    assert exchange(place.served.address, request, method=method).status
    assert place.upstream.seen
    for seen in place.upstream.seen:
        assert {name.lower() for name, _ in seen.fields.pairs} <= TO_PRIMARY
        assert seen.fields.get("Accept-Encoding") == "identity"
        assert seen.fields.get("Host") == place.upstream.address
        assert "secret" not in str(seen.fields)
        assert "evil" not in str(seen.fields)


@pytest.fixture
def basic_primary(accounts: Accounts) -> Iterator[HostileUpstream]:
    with hostile_upstream(settings=UpstreamSettings(login=BasicLogin(accounts))) as upstream:
        yield upstream


def test_connection_can_not_strip_credentials(basic_primary: HostileUpstream):
    """T9: `Connection: Authorization` has no effect: the caller stays who it is."""
    credentials = ("Authorization", "Basic YWRtaW46YWRtaW4ncyBzZWNyZXQ=")
    with serving(basic_primary) as served:
        request = request_bytes(
            "GET", "/v2/any/tags/list", HOST, ("Connection", "Authorization, Host"), credentials
        )
        assert exchange(served.address, request).status == 404
    (seen,) = basic_primary.seen
    assert seen.fields.get("Authorization") == credentials[1]
