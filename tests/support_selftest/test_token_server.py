"""The token server speaks both forms of the protocol."""

import json
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import pytest

from tests.support.token_calls import basic_value
from tests.support.token_server import Failure
from tests.support.token_signer import Signer
from tests.support.waiting import wait_until

SCOPE = "repository:alice/app:pull,push"


def post(server, **form):
    body = urlencode({"service": server.service, "client_id": "tests", **form})
    fields = {"Content-Type": "application/x-www-form-urlencoded"}
    return call(server, "POST", "", body, fields)


def call(server, method, query="", body=None, fields=None):
    realm = urlsplit(server.realm)
    connection = HTTPConnection(realm.hostname, realm.port, timeout=10)
    try:
        connection.request(
            method, f"{realm.path}?{query}" if query else realm.path, body, fields or {}
        )
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_basic_gets_a_token_for_what_the_user_may_do(tokens, alice):
    query = urlencode([("scope", SCOPE), ("scope", "repository:bob/app:pull")])
    status, body = call(tokens, "GET", query, fields={"Authorization": basic_value(alice)})
    token = json.loads(body)["token"]
    assert status == 200
    assert tokens.may(token, "alice/app", "push")
    assert not tokens.may(token, "bob/app", "pull")


def test_anybody_gets_a_token_for_public_repositories(tokens):
    status, body = call(tokens, "GET", urlencode({"scope": "repository:public/app:pull,push"}))
    token = json.loads(body)["token"]
    assert status == 200
    assert tokens.may(token, "public/app", "pull")
    assert not tokens.may(token, "public/app", "push")


def test_nobody_gets_one_where_a_login_is_required(tokens):
    tokens.requires_login = True
    assert call(tokens, "GET")[0] == 401


def test_a_password_form_gets_a_refresh_token_that_works_until_it_is_revoked(tokens, alice):
    login = {"username": alice.username, "password": alice.password, "access_type": "offline"}
    status, body = post(tokens, grant_type="password", scope=SCOPE, **login)
    assert status == 200
    refresh = {"grant_type": "refresh_token", "refresh_token": json.loads(body)["refresh_token"]}
    status, body = post(tokens, scope=SCOPE, **refresh)
    assert tokens.may(json.loads(body)["access_token"], "alice/app", "push")
    tokens.revoke("alice")
    assert post(tokens, scope=SCOPE, **refresh)[0] == 401
    assert [each.grant for each in tokens.requests] == [
        "password",
        "refresh_token",
        "refresh_token",
    ]


def test_an_offline_token_is_given_to_basic_too(tokens, alice):
    fields = {"Authorization": basic_value(alice)}
    _, body = call(tokens, "GET", "offline_token=true", fields=fields)
    assert "refresh_token" in json.loads(body)


@pytest.mark.parametrize("form", [{}, {"grant_type": "password"}, {"grant_type": "magic"}])
def test_a_form_that_says_nothing_gets_400(tokens, form):
    assert post(tokens, **form)[0] == 400


def test_a_wrong_password_gets_401(tokens):
    assert post(tokens, grant_type="password", username="alice", password="x")[0] == 401


def test_a_hanging_server_answers_when_it_is_repaired(tokens, opened):
    tokens.failure = Failure.HANG
    pool = opened(ThreadPoolExecutor(1))
    answer = pool.submit(call, tokens, "GET")
    wait_until(lambda: tokens.requests)
    assert not answer.done()
    tokens.failure = None
    assert answer.result(10)[0] == 503


def test_a_garbled_server_answers_200_with_a_page(tokens):
    tokens.failure = Failure.GARBAGE
    status, body = call(tokens, "GET")
    assert status == 200
    assert body.startswith(b"<html>")


def test_a_token_of_another_key_is_nobodys(tokens, tmp_path, accounts):
    token = tokens.issue("alice", SCOPE)
    assert tokens.is_valid(token)
    tokens.signer = Signer(tmp_path)
    assert not tokens.is_valid(token)
