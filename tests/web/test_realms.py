"""The scheme of the realm that clients are sent to: seen, configured, or told by a proxy."""

from collections.abc import Iterator

import pytest

from tests.support.certificates import Authority
from tests.support.hostile import Challenge, HostileUpstream, hostile_upstream
from tests.support.raw_http import exchange, raw_connection, request_bytes
from tests.web.corpus import HOST
from tests.web.serving import Serving, serving

BEARER = 'Bearer realm="http://auth.test/token",service="registry"'


@pytest.fixture(scope="module")
def bearer_primary() -> Iterator[HostileUpstream]:
    """A primary that wants tokens of a service elsewhere."""
    with hostile_upstream() as upstream:
        upstream.inject(Challenge(BEARER), times=None)
        yield upstream


def _realm(served: Serving, *fields: tuple[str, str], authority: Authority | None = None) -> str:
    tls = authority.client_context() if authority else None
    with raw_connection(served.address, tls=tls) as connection:
        connection.send(request_bytes("GET", "/v2/", HOST, *fields))
        reply = connection.read_reply()
    assert reply.status == 401
    return reply.header("WWW-Authenticate").partition('realm="')[2].partition('"')[0]


TRUSTED = {"trusted_proxies": ["127.0.0.0/8"]}
FORWARDED = (
    ((), "http"),
    ((("X-Forwarded-Proto", "https"),), "https"),
    ((("X-Forwarded-Proto", "http"),), "http"),
    ((("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "https")), "http"),
    ((("X-Forwarded-Proto", "http"), ("X-Forwarded-Proto", "https")), "http"),
    ((("X-Forwarded-Proto", "https, http"),), "http"),
    ((("X-Forwarded-Proto", "javascript"),), "http"),
    ((("X_Forwarded_Proto", "https"),), "http"),
    ((("X-Forwarded-Scheme", "https"),), "http"),
    ((("Forwarded", "proto=https"),), "http"),
    ((("X-Forwarded-Host", "evil.test"),), "http"),
)


@pytest.fixture(scope="module")
def behind_a_proxy(bearer_primary) -> Iterator[Serving]:
    with serving(bearer_primary, access=TRUSTED) as served:
        yield served


@pytest.fixture(scope="module")
def without_proxies(bearer_primary) -> Iterator[Serving]:
    elsewhere = {"trusted_proxies": ["10.0.0.0/8", "::1/128"]}
    with serving(bearer_primary, access=elsewhere) as served:
        yield served


@pytest.mark.parametrize(("fields", "scheme"), FORWARDED)
def test_a_trusted_proxy_tells_the_scheme(behind_a_proxy: Serving, fields, scheme: str):
    """C28: X-Forwarded-Proto counts from a trusted proxy, if it says one thing, once."""
    assert _realm(behind_a_proxy, *fields) == f"{scheme}://{HOST}/v2/token"


@pytest.mark.parametrize(("fields", "_scheme"), FORWARDED)
def test_nobody_else_tells_the_scheme(without_proxies: Serving, fields, _scheme: str):
    """C28, T10: from an untrusted peer no header changes what clients are told."""
    assert _realm(without_proxies, *fields) == f"http://{HOST}/v2/token"


@pytest.mark.parametrize(("fields", "_scheme"), FORWARDED)
def test_the_realm_is_never_http_behind_tls(
    bearer_tls: Serving, authority: Authority, fields, _scheme: str
):
    """Settled 4: over TLS the realm is https, whatever even a trusted proxy says."""
    assert _realm(bearer_tls, *fields, authority=authority) == f"https://{HOST}/v2/token"


@pytest.fixture(scope="module")
def bearer_tls(bearer_primary, authority: Authority) -> Iterator[Serving]:
    files = authority.issue(HOST)
    tls = {"certificate": files.certificate, "key": files.key}
    with serving(bearer_primary, tls=tls, access=TRUSTED) as served:
        yield served


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_public_scheme_in_the_settings_decides(bearer_primary, scheme: str):
    """Settled 4: `listen.public_scheme` goes before what proxies say."""
    with serving(bearer_primary, listen={"public_scheme": scheme}, access=TRUSTED) as served:
        for fields, _ in FORWARDED:
            assert _realm(served, *fields) == f"{scheme}://{HOST}/v2/token"


def test_the_realm_names_the_host_that_the_client_used(bearer_primary):
    """Settled 4: the authority in the realm is the checked Host, port included."""
    names = ["registry.example.com", "[2001:db8::1]"]
    with serving(bearer_primary, listen={"names": names}) as served:
        for host in ("registry.example.com", "registry.example.com:8443", "[2001:db8::1]:5000"):
            reply = exchange(served.address, request_bytes("GET", "/v2/", host))
            assert f'realm="http://{host}/v2/token"' in reply.header("WWW-Authenticate")
