"""What goes upstream is written here: of a client's headers only what has to go on."""

import time

import pytest

from tests.conftest import Opened
from tests.fills.calls import blob_path, manifest_path
from tests.fills.in_process import InProcess, in_process
from tests.support.accounts import Accounts
from tests.support.hostile import MANIFESTS, BasicLogin, HostileUpstream, Settings
from tests.support.images import MANIFEST_TYPES, oci_image
from tests.support.layers import random_blob
from tests.support.registry_client import RegistryClient
from tests.support.replica import replica as replica_process
from tests.support.token_calls import basic_value

LOOP_SECONDS = 3.0
ALLOWED = {"host", "accept", "accept-encoding", "user-agent", "via"}
ODD_HEADERS = {
    "Accept": "text/html",
    "Accept-Encoding": "gzip, zstd",
    "Accept-Language": "de",
    "Cache-Control": "no-cache",
    "Connection": "Host, Via, Authorization",
    "Cookie": "session=1",
    "Forwarded": "for=1.2.3.4",
    "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT",
    "Keep-Alive": "timeout=5",
    "Origin": "http://evil.example",
    "Pragma": "no-cache",
    "Proxy-Authorization": "Basic Zm9vOmJhcg==",
    "Referer": "http://evil.example/",
    "TE": "trailers",
    "User-Agent": "somebody/1.0",
    "Via": "1.1 another",
    "X-Forwarded-For": "1.2.3.4",
    "X-Forwarded-Host": "evil.example",
    "X-Meta-Source-Client": "somebody",
    "X_Forwarded_For": "1.2.3.4",
}


def test_no_header_of_a_client_goes_upstream(upstream: HostileUpstream, replica: InProcess) -> None:
    """A pull's requests upstream have the headers that are written here, and those values."""
    upstream.contents.add("app", oci_image(), "v1")
    content = upstream.contents.add_blob("app", random_blob(100))
    for path in (manifest_path("app", "v1"), blob_path("app", content.digest)):
        replica.client.get(path, ODD_HEADERS).expect(200)
    assert len(upstream.seen) == 4
    for seen in upstream.seen:
        assert {name.lower() for name, _ in seen.fields.pairs} <= ALLOWED
        assert seen.fields.get("Host") == upstream.address
        assert seen.fields.get("Accept-Encoding") == "identity"
        assert seen.fields.get("User-Agent").startswith("proxima/")
    assert upstream.malformed == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("accept", ["", MANIFEST_TYPES[1], "text/html"])
def test_every_manifest_type_is_accepted(
    upstream: HostileUpstream, replica: InProcess, method: str, accept: str
) -> None:
    """Whatever a client accepts, the primary is always asked for all types: some convert."""
    upstream.contents.add("app", oci_image(), "v1")
    replica.client.request(method, manifest_path("app", "v1"), {"Accept": accept}).expect(200)
    replica.clock.advance(3600)
    replica.client.request(method, manifest_path("app", "v1"), {"Accept": accept}).expect(200)
    requests = upstream.requests(path=MANIFESTS)
    assert len(requests) >= 3
    for seen in requests:
        accepted = {each.strip() for each in seen.fields.get("Accept").split(",")}
        assert accepted >= set(MANIFEST_TYPES)


def test_via_names_this_replica(upstream: HostileUpstream, replica: InProcess) -> None:
    """Every request upstream carries our Via, the same each time; with it a loop is told: 508."""
    upstream.contents.add("app", oci_image(), "v1")
    upstream.forget()
    replica.client.get(manifest_path("app", "v1")).expect(200)
    (via,) = {seen.fields.get("Via") for seen in upstream.seen}
    assert via.startswith("1.1 proxima-")
    with_ours = {"Via": f"1.1 somebody, {via}"}
    reply = replica.client.get(manifest_path("app", "v1"), with_ours)
    assert reply.status == 508


def test_a_loop_over_two_replicas_ends_at_once(upstream: HostileUpstream, opened: Opened) -> None:
    """Two replicas that are each other's primary: a pull of what neither has ends without a wait,
    with 508.
    """
    first = opened(replica_process(upstream.url))
    second = opened(replica_process(first.url))
    first.restart(primary={"url": second.url})
    client = RegistryClient(first.url)
    for path in (manifest_path("app", "v1"), blob_path("app", random_blob(10).digest)):
        started = time.monotonic()
        client.get(path).expect(508)
        assert time.monotonic() - started < LOOP_SECONDS


def test_the_callers_login_goes_upstream_as_it_came(
    opened: Opened, upstream: HostileUpstream, accounts: Accounts
) -> None:
    """A fill presents the Basic login of the caller it is for."""
    upstream.settings = Settings(login=BasicLogin(accounts))
    upstream.contents.add("alice/app", oci_image(), "v1")
    replica = opened(in_process(upstream.url))
    upstream.forget()
    login = basic_value(accounts.credentials_of("alice"))
    headers = {"Authorization": login}
    replica.client.get(manifest_path("alice/app", "v1"), headers).expect(200)
    assert {seen.fields.get("Authorization") for seen in upstream.seen} == {login}
