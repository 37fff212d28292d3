"""By which names a replica may be addressed, and where it sends those who come wrongly."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.support.ports import LOOPBACK, claimed_port
from tests.support.raw_http import Ending, RawReply, exchange, raw_connection, request_bytes
from tests.support.registry_client import RegistryClient
from tests.web.conftest import Place
from tests.web.corpus import HOST
from tests.web.serving import Serving, serving

NAMES = ("registry.example.com", "exact.example.com:5000", "[2001:db8::1]", "192.0.2.7")
SERVED = (
    "registry.example.com",
    "registry.example.com:5000",
    "registry.example.com:1",
    "REGISTRY.Example.COM",
    "Registry.Example.com:443",
    "exact.example.com:5000",
    "Exact.Example.com:5000",
    "[2001:db8::1]",
    "[2001:db8::1]:443",
    "[2001:DB8::1]:443",
    "192.0.2.7",
    "192.0.2.7:8443",
)
MISDIRECTED = (
    "",
    "registry.example.com.",
    "registry.example.com.:443",
    "registry.example.com:",
    "registry.example.com:x",
    "registry.example.com:443x",
    "registry.example.com:-1",
    "registry.example.com:443:443",
    "registry.example.com:123456",
    'registry.example.com:1"',
    "registry.example.com, registry.example.com",
    "registry.example.com/v2",
    "registry.example.com?x",
    "registry.example.com#x",
    "user@registry.example.com",
    "registry.example.com@evil.test",
    "registry.example.com:1@evil.test",
    "xregistry.example.com",
    "registry.example.com.evil.test",
    "evil.test",
    "exact.example.com",
    "exact.example.com:5001",
    "exact.example.com:05000",
    "2001:db8::1",
    "[2001:db8::1",
    "[2001:db8::1]x",
    "[2001:db8::1]443",
    "[2001:db8::2]",
    "[2001:db8:0::1]",
    "192.0.2.07",
    "192.0.2.8",
    "3221225991",
    "127.0.0.1",
    "localhost",
    "*",
    "-",
    "_",
    "registry_example.com",
    "r\xe9gistry.example.com",
)


@pytest.fixture(scope="module")
def named(module_place) -> Iterator[Serving]:
    """A replica that knows certain names alone."""
    with serving(module_place.upstream, listen={"names": list(NAMES)}) as served:
        yield served


def _ping(served: Serving, host: str) -> RawReply:
    head = f"GET /v2/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")
    with raw_connection(served.address) as connection:
        connection.send(head)
        reply = connection.read_reply()
        if reply.status != 200:
            assert connection.wait_for_end() is Ending.CLOSED
        return reply


@pytest.mark.parametrize("host", SERVED)
def test_a_configured_name_is_served(named: Serving, host: str):
    """T23: a name without a port counts on any port, one with a port on that alone."""
    assert _ping(named, host).status == 200


@pytest.mark.parametrize("host", MISDIRECTED)
def test_any_other_name_is_misdirected(named: Serving, host: str):
    """T23: 421 in the spec's form, and the connection ends; nothing is taken for nearly a name."""
    reply = _ping(named, host)
    assert reply.status == 421
    assert b'"UNSUPPORTED"' in reply.body


def test_without_configured_names_the_addresses_listened_on_are_names(place: Place):
    """T23: a first run needs no names: the primary's host, the listener's address, localhost."""
    for host in ("127.0.0.1", place.served.address, "localhost", "LOCALHOST:1"):
        assert _ping(place.served, host).status == 200
    assert _ping(place.served, "registry.example.com").status == 421


@pytest.mark.parametrize(
    ("namespace", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:5000", 200),
        ("LOCALHOST", 200),
        ("docker.io", 404),
        ("127.0.0.1.evil.test", 404),
        ("", 404),
        ("127.0.0.1%00", 404),
        ("127.0.0.1%2Fx", 404),
    ],
)
def test_a_mirrors_namespace_is_ours_or_unknown(place: Place, namespace: str, status: int):
    """The `ns` that containerd adds is accepted when it names us; else 404 NAME_UNKNOWN."""
    reply = place.client().get(f"{place.manifest_path}?ns={namespace}")
    assert reply.status == status
    assert status == 200 or reply.error_codes == ["NAME_UNKNOWN"]
    assert all("ns=" not in seen.target for seen in place.upstream.seen)


@pytest.mark.parametrize("form", ["{}", "1.0 a, {}", "1.1 a, {} , 1.1 b", "1.0 x\r\nVia: {}"])
def test_a_request_that_comes_back_is_a_loop(place: Place, form: str):
    """A request with our own Via entry, wherever it stands, gets 508 UNSUPPORTED."""
    place.client().get("/v2/some/repository/tags/list")
    own = place.upstream.seen[-1].fields.get("Via")
    place.upstream.forget()
    assert own.startswith("1.1 ")
    fields = f"Via: {form.format(own)}\r\n"
    head = f"GET {place.manifest_path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n"
    reply = exchange(place.served.address, head.encode())
    assert (reply.status, b'"UNSUPPORTED"' in reply.body) == (508, True)
    assert place.upstream.seen == []


def test_the_via_of_others_is_no_loop(place: Place):
    """A front end's Via is fine."""
    headers = {"Via": "1.1 front, 1.1 proxima-0000"}
    assert place.client().get(place.manifest_path, headers).status == 200


def test_a_replica_that_is_its_own_primary_says_so():
    """A primary's address that leads back here is found out: the client learns it by 508."""
    with claimed_port() as port:
        address = f"{LOOPBACK}:{port}"
        with serving(f"http://{address}", listen={"registry": [address]}) as served:
            reply = RegistryClient(served.url).get("/v2/a/manifests/v1")
    assert (reply.status, reply.error_codes) == (508, ["UNSUPPORTED"])


@pytest.fixture(scope="module")
def redirecting(module_place) -> Iterator[Serving]:
    """A replica that sends what isn't the registry's to the primary's pages."""
    with serving(module_place.upstream, listen={"other_paths": "redirect"}) as served:
        yield served


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/projects?page=2",
        "//evil.test",
        "//evil.test/x",
        "///evil.test",
        "/@evil.test",
        "/.evil.test",
        "/;@evil.test/",
        "/evil.test:80@x",
        "/?//evil.test",
        "/x/..//evil.test",
        "/\\evil.test",
        "/\\/evil.test",
        "\\\\evil.test",
        "/%5cevil.test",
        "/%2f%2fevil.test",
        "/%0d%0aLocation:%20http://evil.test",
        "/\xe9vil.test",
        "http://evil.test/",
        "@evil.test",
        "evil.test:80",
    ],
)
def test_other_paths_lead_to_the_primary_alone(redirecting: Serving, place: Place, target: str):
    """T12: no path, query or host makes a redirect lead anywhere but to the primary's origin."""
    head = f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-Host: evil.test\r\n\r\n"
    reply = exchange(redirecting.address, head.encode("latin-1"))
    assert reply.status in (302, 400)
    if reply.status == 302:
        location = reply.header("Location")
        assert location.startswith(f"{place.upstream.url}/")
        assert urlsplit(location).netloc == urlsplit(place.upstream.url).netloc
        assert not location.removeprefix(place.upstream.url).startswith(("//", "/\\"))
        assert reply.header("X-Request-Id")
    else:
        assert "Location" not in reply.fields


@pytest.mark.parametrize("target", ["/projects", "/", "/metrics", "/healthz"])
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_only_pages_are_redirected(redirecting: Serving, method: str, target: str):
    """T12: a write outside the registry's paths gets 404, so no credentials go elsewhere."""
    reply = exchange(redirecting.address, request_bytes(method, target, HOST))
    assert (reply.status, "Location" in reply.fields) == (404, False)


@pytest.mark.parametrize("target", ["/v2x", "/v2/unknown", "/v2/team/app/unknown/x"])
def test_unknown_registry_paths_are_not_redirected(redirecting: Serving, target: str):
    """T12: below /v2 the spec's errors hold also where pages are redirected."""
    reply = exchange(redirecting.address, request_bytes("GET", target, HOST))
    assert (reply.status, "Location" in reply.fields) == (404, False)


@pytest.mark.parametrize("target", ["/", "/projects", "//evil.test", "/metrics"])
def test_other_paths_are_refused_by_default(place: Place, target: str):
    """T12: without the setting there is no redirect at all."""
    reply = exchange(place.served.address, request_bytes("GET", target, HOST))
    assert reply.status in (400, 404)
    assert "Location" not in reply.fields
