"""The plain client logs in as clients do, and reads answers that come early."""

from tests.support.hostile import BasicLogin, RefuseEarly, Status, TokenLogin
from tests.support.layers import random_blob
from tests.support.pushing import push_blob
from tests.support.registry_client import RegistryClient


def test_a_login_is_remembered_for_the_repository(upstream, accounts, alice):
    upstream.settings.login = BasicLogin(accounts)
    client = RegistryClient(upstream.url, alice)
    for _ in range(2):
        assert client.get("/v2/alice/app/tags/list").status == 404
    assert [each.status for each in upstream.seen] == [401, 404, 404]
    client.log_out()
    client.get("/v2/alice/app/tags/list")
    assert [each.status for each in upstream.seen[3:]] == [401, 404]


def test_a_token_that_is_refused_is_replaced(upstream, tokens, alice):
    upstream.settings.login = TokenLogin(tokens)
    tokens.lifetime_seconds = -10
    client = RegistryClient(upstream.url, alice)
    assert client.get("/v2/alice/app/tags/list").status == 401
    tokens.lifetime_seconds = 60
    assert client.get("/v2/alice/app/tags/list").status == 404
    assert len(tokens.requests) == 2


def test_without_credentials_the_challenge_is_the_answer(upstream, accounts):
    upstream.settings.login = BasicLogin(accounts)
    assert RegistryClient(upstream.url).get("/v2/alice/app/tags/list").status == 401
    assert upstream.count() == 1


def test_an_answer_that_comes_before_the_body_is_read_is_given(upstream):
    upstream.inject(RefuseEarly(Status(413)), method="PUT")
    client = RegistryClient(upstream.url)
    reply = client.request("PUT", "/v2/app/manifests/v1", body=bytes(20_000_000))
    assert reply.status == 413


def test_a_big_blob_is_pushed_to_a_registry_that_wants_a_token(token_primary, alice):
    content = random_blob(20_000_000)
    push_blob(RegistryClient(token_primary.url, alice), "alice/app", content)
