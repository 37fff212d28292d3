"""The primaries of the tests behave as registries of their kind do."""

import pytest

from tests.support.accounts import Credentials
from tests.support.kinds import KINDS
from tests.support.layers import random_blob
from tests.support.ports import answers
from tests.support.pushing import assert_pullable, pull, push, push_blob
from tests.support.raw_http import exchange, request_bytes
from tests.support.recording_relay import recording_relay
from tests.support.registries import Token, docker_registry
from tests.support.registry_client import RegistryClient
from tests.support.schema1 import schema1_image
from tests.support.token_server import Failure, token_server
from tests.support.token_signer import Signer
from tests.support.waiting import wait_until

WRONG = Credentials("alice", "wrong")


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_an_open_registry_takes_and_gives_every_kind_of_content(primary, kind):
    client = RegistryClient(primary.url)
    content = kind.build("seed")
    push(client, "team/app", content, "v1")
    assert_pullable(client, "team/app", content, "v1")
    for absent in content.absent:
        assert pull(client, "team/app", absent.digest).status == 404


def test_schema1_is_taken_under_the_digest_of_its_payload(primary):
    client = RegistryClient(primary.url)
    image = schema1_image("team/old", "v1")
    push(client, "team/old", image, "v1")
    reply = pull(client, "team/old", "v1").expect(200)
    assert reply.header("Docker-Content-Digest") == image.digest
    assert reply.header("Content-Type") == image.media_type


def test_an_htpasswd_registry_wants_a_password(htpasswd_primary, alice):
    url = htpasswd_primary.url
    assert RegistryClient(url).get("/v2/").status == 401
    assert RegistryClient(url, WRONG).get("/v2/").status == 401
    assert RegistryClient(url, alice).get("/v2/").status == 200


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
@pytest.mark.parametrize("chain", [False, True], ids=["kid", "x5c"])
def test_a_token_registry_trusts_our_token_server(tmp_path, accounts, opened, algorithm, chain):
    signer = Signer(tmp_path, algorithm=algorithm, chain=chain)
    tokens = opened(token_server(tmp_path, accounts, signer=signer))
    primary = opened(docker_registry(tmp_path / "primary", Token(tokens)))
    client = RegistryClient(primary.url, accounts.credentials_of("alice"))
    push_blob(client, "alice/app", random_blob(1000))
    assert tokens.requests[-1].username == "alice"


def test_rights_are_those_of_the_accounts(token_primary, alice, bob, admin):
    content = random_blob(100)
    push_blob(RegistryClient(token_primary.url, alice), "alice/app", content)
    push_blob(RegistryClient(token_primary.url, admin), "public/app", content)
    target = f"/v2/alice/app/blobs/{content.digest}"
    assert RegistryClient(token_primary.url, alice).get(target).status == 200
    assert RegistryClient(token_primary.url, bob).get(target).status == 401
    assert RegistryClient(token_primary.url).get(target).status == 401
    public = target.replace("alice/app", "public/app")
    assert RegistryClient(token_primary.url).get(public).status == 200


def test_an_expired_token_is_refused(token_primary, tokens):
    # Distribution accepts tokens for a minute after their end.
    token = tokens.issue("alice", "repository:alice/app:pull", lifetime_seconds=-90)
    fields = {"Authorization": f"Bearer {token}"}
    reply = RegistryClient(token_primary.url).request("GET", "/v2/alice/app/tags/list", fields)
    assert reply.status == 401


def test_a_broken_token_server_answers_no_logins(token_primary, tokens, alice):
    client = RegistryClient(token_primary.url, alice)
    for failure in (Failure.ERROR, Failure.REFUSE):
        tokens.failure = failure
        assert client.get("/v2/").status == 401
        assert tokens.requests[-1].status in (401, 500)
    tokens.failure = None
    assert client.get("/v2/").status == 200


def test_a_token_realm_can_live_at_a_path_of_the_registrys_domain(tmp_path, accounts, opened):
    with recording_relay("127.0.0.1:1") as relay:
        realm = f"{relay.url}/service/token"
        tokens = opened(token_server(tmp_path, accounts, path="/service/token", realm=realm))
        primary = opened(docker_registry(tmp_path / "primary", Token(tokens)))
        relay.target, relay.routes = primary.address, {"/service/": tokens.address}
        client = RegistryClient(relay.url, accounts.credentials_of("alice"))
        push_blob(client, "alice/app", random_blob(10))
        assert relay.count(path="/service/token") == len(tokens.requests) > 0


def test_an_outage_ends_on_the_same_port_with_the_same_content(primary):
    client = RegistryClient(primary.url)
    content = random_blob(5000)
    push_blob(client, "team/app", content)
    primary.stop()
    assert not answers(primary.host, primary.port)
    primary.start()
    assert client.get(f"/v2/team/app/blobs/{content.digest}").body == content.data


def test_the_access_log_counts_requests_and_bytes(primary):
    client = RegistryClient(primary.url)
    content = random_blob(70_000)
    push_blob(client, "team/app", content)
    client.get(f"/v2/team/app/blobs/{content.digest}")
    path = f"/v2/team/app/blobs/{content.digest}"
    wait_until(lambda: primary.access_log_requests()["GET", path] == 1)
    assert primary.access_log_requests()["HEAD", path] == 1
    read = [line for line in primary.access_lines() if line.method == "GET"]
    assert [line.body_bytes for line in read] == [70_000]


def test_a_registry_speaks_tls(tmp_path, authority, opened):
    files = authority.issue("127.0.0.1")
    primary = opened(docker_registry(tmp_path / "primary", tls=files))
    assert RegistryClient(primary.url, ca_file=authority.ca_file).get("/v2/").status == 200
    data = request_bytes("GET", "/v2/", "127.0.0.1", ("Connection", "close"))
    assert exchange(primary.address, data, tls=authority.client_context()).status == 200


def test_distributions_own_proxy_mode_can_be_compared_with(tmp_path, primary, opened):
    content = random_blob(3000)
    push_blob(RegistryClient(primary.url), "team/app", content)
    mirror = opened(docker_registry(tmp_path / "mirror", proxy_of=primary.url))
    reply = RegistryClient(mirror.url).get(f"/v2/team/app/blobs/{content.digest}")
    assert reply.body == content.data


def test_a_registry_sends_notifications(tmp_path, upstream, opened):
    primary = opened(docker_registry(tmp_path / "primary", notify=[f"{upstream.url}/hook"]))
    push_blob(RegistryClient(primary.url), "team/app", random_blob(10))
    wait_until(lambda: upstream.requests("POST", "/hook"))
