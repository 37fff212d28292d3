"""Real load balancers before a replica: whom the log names, TLS passed on or ended there."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fixtures import require
from tests.support.raw_http import raw_connection, request_bytes
from tests.support.waiting import wait_until
from tests.web.conftest import REPOSITORY, Place, blob_path
from tests.web.fronts import NGINX_STREAM, front
from tests.web.serving import Serving, serving

NAME = "registry.example.com"
CLIENT = "127.0.0.9"
LIED = ("X-Forwarded-For", "198.51.100.7")
LISTEN = {"names": [NAME]}
BEHIND = {**LISTEN, "proxy_protocol": True}
ACCESS = {"trusted_proxies": ["127.0.0.1/32"]}
TELLING = ("nginx", "haproxy")
ANNOUNCING = ("haproxy v1", "haproxy v2", "haproxy v2 http", "nginx stream")


def _require(name: str) -> None:
    require(name.split(maxsplit=1)[0])
    if name == "nginx stream":
        require(str(NGINX_STREAM))


@pytest.fixture(scope="module")
def replica(module_place) -> Iterator[Serving]:
    """A replica that front ends tell by X-Forwarded-For, on uvloop as operators have it."""
    upstream = module_place.upstream
    with serving(upstream, loop="uvloop", listen=LISTEN, access=ACCESS) as served:
        yield served


@pytest.fixture(scope="module")
def announced(module_place) -> Iterator[Serving]:
    """A replica that front ends tell by PROXY headers."""
    upstream = module_place.upstream
    with serving(upstream, loop="uvloop", listen=BEHIND, access=ACCESS) as served:
        yield served


@pytest.fixture(scope="module")
def secured(module_place, authority) -> Iterator[Serving]:
    """The same, with TLS that ends at the replica."""
    files = authority.issue(NAME)
    tls = {"certificate": files.certificate, "key": files.key}
    upstream = module_place.upstream
    with serving(upstream, loop="uvloop", listen=BEHIND, access=ACCESS, tls=tls) as served:
        yield served


def _pulls(before: str, place: Place, tls: ssl.SSLContext | None = None) -> None:
    """Pull a manifest and a layer, as a client at CLIENT that lies about whom it speaks for."""
    pulls = (
        (place.manifest_path, place.image.data),
        (blob_path(place.layer), place.layer.data),
    )
    with raw_connection(before, source=CLIENT, tls=tls, server_name=NAME) as connection:
        for path, data in pulls:
            connection.send(request_bytes("GET", path, NAME, LIED))
            assert connection.read_reply().body == data


def _clients(served: Serving, lines_before: int, count: int = 2) -> set[str]:
    """Give whom the log names for the pulls after so many lines."""
    lines = wait_until(
        lambda: found if len(found := _pull_lines(served)[lines_before:]) == count else [],
        what=f"{count} lines",
    )
    return {line["client"] for line in lines}


def _pull_lines(served: Serving) -> list:
    return [line for line in served.events("pull.served") if line["repository"] == REPOSITORY]


@pytest.mark.parametrize("name", TELLING)
def test_forwarding_headers_name_the_client(replica, place: Place, tmp_path: Path, name: str):
    """C28, T10: behind a real proxy the log has its client, not whom that client names."""
    _require(name)
    lines = len(_pull_lines(replica))
    with front(name, replica.address, tmp_path) as before:
        _pulls(before, place)
    assert _clients(replica, lines) == {CLIENT}


@pytest.mark.parametrize("name", ANNOUNCING)
def test_proxy_headers_name_the_client(announced, place: Place, tmp_path: Path, name: str):
    """C28: a balancer that passes TCP on announces its client in either version."""
    _require(name)
    lines = len(_pull_lines(announced))
    with front(name, announced.address, tmp_path) as before:
        _pulls(before, place)
    assert _clients(announced, lines) == {CLIENT}


@pytest.mark.parametrize("name", ["haproxy v1", "haproxy v2", "nginx stream"])
def test_tls_is_passed_on(secured, place: Place, authority, tmp_path: Path, name: str):
    """Settled 42: the header stands before the client's own handshake with the replica."""
    _require(name)
    lines = len(_pull_lines(secured))
    with front(name, secured.address, tmp_path) as before:
        _pulls(before, place, authority.client_context())
    assert _clients(secured, lines) == {CLIENT}


@pytest.mark.parametrize("name", ["haproxy tls", "haproxy tls v2"])
def test_tls_ends_at_the_front_end(
    replica, announced, place: Place, authority, tmp_path: Path, name: str
):
    """TLS that ends before the replica: the client is told by a header of HTTP or of PROXY."""
    _require(name)
    files = authority.issue(NAME)
    (tmp_path / "haproxy.pem").write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
    served = announced if name.endswith("v2") else replica
    lines = len(_pull_lines(served))
    with front(name, served.address, tmp_path) as before:
        _pulls(before, place, authority.client_context())
    assert _clients(served, lines) == {CLIENT}


def test_two_front_ends_in_a_row(replica, place: Place, tmp_path: Path):
    """C28: haproxy announces the client to nginx, which names it to the replica."""
    _require("haproxy")
    _require("nginx")
    lines = len(_pull_lines(replica))
    with (
        front("nginx behind another", replica.address, tmp_path) as inner,
        front("haproxy v1", inner, tmp_path) as outer,
    ):
        _pulls(outer, place)
    assert _clients(replica, lines) == {CLIENT}


def test_health_checks_are_no_refusals(module_place: Place, tmp_path: Path):
    """haproxy's checks begin with a LOCAL header: they are answered, as its own."""
    _require("haproxy")
    with serving(module_place.upstream, listen=BEHIND, access=ACCESS) as served:
        with front("haproxy checks", served.address, tmp_path):
            served.wait_event("request.answered", client="127.0.0.1", kind="ping")
        assert served.metrics().value("proxima_proxy_headers_refused_total") == 0
