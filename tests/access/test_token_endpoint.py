"""The token endpoint: what it answers itself, what it relays, and what it refuses to read."""

import base64
from urllib.parse import urlencode

import pytest

from tests.access.worlds import (
    FORM,
    ask_token,
    bearer,
    call,
    challenge_of,
    claims_of,
    post_token,
    token_path,
)
from tests.support.accounts import Credentials
from tests.support.raw_http import exchange, request_bytes
from tests.support.token_calls import basic_value

PULL = "repository:alice/app:pull"
PUSH = "repository:alice/app:pull,push"


def password_form(credentials, **more):
    login = {"username": credentials.username, "password": credentials.password}
    return {"grant_type": "password", "service": "registry.of.the.tests", **login, **more}


def test_get_and_post_give_a_token_that_pulls(still_world, alice):
    """Settled 3: the GET form and the OAuth 2 form both give our token, for the same caller."""
    world = still_world
    replies = [
        ask_token(world.replica, PULL, credentials=alice),
        post_token(world.replica, password_form(alice, scope=PULL, client_id="containerd")),
    ]
    subjects = {claims_of(reply.json()["token"])["sub"] for reply in replies}
    assert len(subjects) == 1
    for reply in replies:
        assert reply.json()["access_token"] == reply.json()["token"]
        assert reply.json()["expires_in"] == 300
        assert reply.header("Cache-Control") == "no-store"
        assert call(world.replica, "GET", world.layer("alice/app"), bearer(reply)).status == 200


def test_a_token_names_an_identity_and_the_scope_asked_for(still_world, alice):
    """Settled 2: our token holds no password, only an identity and the scopes asked for."""
    world = still_world
    scopes = (PULL, "repository:shared/app:pull")
    claims = claims_of(ask_token(world.replica, *scopes, credentials=alice).json()["token"])
    assert claims["sub"] not in (alice.username, basic_value(alice))
    assert [entry["name"] for entry in claims["access"]] == ["alice/app", "shared/app"]
    assert [entry["actions"] for entry in claims["access"]] == [["pull"], ["pull"]]


def test_several_scopes_in_one_parameter_or_in_several(still_world, alice):
    """Both ways of asking for several scopes are understood, OAuth 2's and the older one."""
    world = still_world
    path = token_path(world.replica)
    spaced = urlencode({"scope": f"{PULL} repository:shared/app:pull"})
    login = {"Authorization": basic_value(alice)}
    reply = call(world.replica, "GET", f"{path}?{spaced}", login)
    assert len(claims_of(reply.expect(200).json()["token"])["access"]) == 2


# what is asked for, beyond a pull -> (query or form)
RELAYED = [
    ("GET", {}),
    ("GET", {"scope": PUSH}),
    ("GET", {"scope": "repository:alice/app:delete"}),
    ("GET", {"scope": "repository:alice/app:*"}),
    ("GET", {"scope": "registry:catalog:*"}),
    ("GET", {"scope": "repository(plugin):alice/app:pull"}),
    ("GET", {"scope": "something else"}),
    ("GET", {"scope": PULL, "offline_token": "true"}),
    ("POST", {"scope": PUSH}),
    ("POST", {"scope": PULL, "access_type": "offline"}),
    ("POST", {}),
]


@pytest.mark.parametrize(("method", "asked"), RELAYED)
def test_what_is_no_plain_pull_is_relayed(method, asked, still_world, alice):
    """Settled 3: no scope, refresh tokens, unknown, push and delete scopes go to the primary as
    they came, and the primary's token comes back.
    """
    world = still_world
    if method == "GET":
        reply = ask_token(world.replica, credentials=alice, **asked)
    else:
        reply = post_token(world.replica, password_form(alice, **asked))
    token = reply.expect(200).json()["access_token"]
    assert world.token_server.is_valid(token)
    assert world.token_server.requests[-1].username == "alice"
    wanted = asked.get("scope")
    if wanted and wanted.startswith("repository:"):
        assert world.token_server.requests[-1].scopes == (wanted,)


def test_a_refresh_token_is_relayed_and_works(token_world, alice):
    """Settled 3: refresh tokens come from the primary and go to it."""
    world = token_world()
    first = post_token(world.replica, password_form(alice, access_type="offline")).expect(200)
    form = {"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"]}
    second = post_token(world.replica, {**form, "scope": PULL}).expect(200)
    assert world.token_server.may(second.json()["access_token"], "alice/app", "pull")
    assert world.token_server.requests[-1].grant == "refresh_token"


ODD_BODY = b'{ "token" : "of the\\u0020primary",\n "expires_in":61.0, "x": [1,  2] }'
JSON = ("Content-Type", "application/json")


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429])
def test_a_relayed_answer_is_passed_on_byte_for_byte(status, relayed):
    """Settled 3: status and body of a relayed answer stay as they are, Retry-After too."""
    relayed.service.always(status, ODD_BODY, JSON, ("Retry-After", "17"))
    reply = ask_token(relayed.replica, PUSH)
    assert (reply.status, reply.body) == (status, ODD_BODY)
    assert reply.header("Retry-After") == "17"
    assert challenge_of(reply).get("scheme") == ("basic" if status == 401 else None)


@pytest.mark.parametrize(
    ("method", "query", "form"),
    [
        ("GET", "scope=repository%3Aalice%2Fapp%3Apush&service=a%20b&x=%C3%A4&scope=b:c:pull", b""),
        ("POST", "", b"grant_type=refresh_token&refresh_token=a%2Fb&scope=x+y&client_id=%7E"),
        ("POST", "p=1", b"grant_type=password&username=a&password=%2B+%3D&access_type=offline"),
    ],
)
def test_a_relayed_request_arrives_byte_for_byte(method, query, form, relayed, alice):
    """Settled 3: query, form and login are neither decoded nor written anew on their way."""
    relayed.service.always(200, b"{}", JSON)
    target = token_path(relayed.replica) + (f"?{query}" if query else "")
    login = {"Authorization": basic_value(alice).replace("Basic", "bAsIc")}
    headers = {**login, **(FORM if form else {})}
    assert call(relayed.replica, method, target, headers, form).status == 200
    (received,) = relayed.service.received
    assert (received.method, received.target) == (method, "/token" + (f"?{query}" if query else ""))
    assert received.body == form
    assert received.fields.all("Authorization") == [login["Authorization"]]


def test_too_many_logins_are_answered_with_the_time_to_wait(relayed, alice):
    """A token service that asks for less is obeyed: the client gets its 429 with Retry-After."""
    relayed.service.always(429, b"{}", ("Retry-After", "23"))
    for scope in (PULL, PUSH):
        reply = ask_token(relayed.replica, scope, credentials=alice)
        assert (reply.status, reply.header("Retry-After")) == (429, "23")
    assert len(relayed.service.received) == 2


# --- our own tokens stay here ---------------------------------------------------------------------


def test_our_token_never_goes_upstream(token_world, alice):
    """Settled 3: whatever a client does with our token, neither the primary nor its token service
    ever sees it; a write with it is told which scope is needed.
    """
    world = token_world()
    held = bearer(ask_token(world.replica, PULL, credentials=alice))
    token = held["Authorization"].partition(" ")[2]
    digest = "sha256:" + "0" * 64
    writes = [
        ("POST", "/v2/alice/app/blobs/uploads/", "repository:alice/app:pull,push"),
        ("PUT", "/v2/alice/app/manifests/v2", "repository:alice/app:pull,push"),
        ("DELETE", "/v2/alice/app/manifests/latest", "repository:alice/app:delete"),
        ("DELETE", f"/v2/alice/app/blobs/{digest}", "repository:alice/app:delete"),
        ("PATCH", "/v2/alice/app/blobs/uploads/abc", "repository:alice/app:pull,push"),
    ]
    for method, target, scope in writes:
        reply = call(world.replica, method, target, held, b"x" if method != "DELETE" else b"")
        challenge = challenge_of(reply)
        assert (reply.status, challenge["error"]) == (401, "insufficient_scope")
        assert challenge["scope"] == scope
    for target in ("/v2/", "/v2/_catalog", "/v2/alice/app/tags/list", world.layer("bob/app")):
        call(world.replica, "GET", target, held)
    assert call(world.replica, "GET", world.layer("alice/app"), held).status == 200
    path = token_path(world.replica)
    assert call(world.replica, "GET", f"{path}?scope={PUSH}", held).status == 401
    form = urlencode({"grant_type": "refresh_token", "refresh_token": token, "scope": PUSH})
    assert call(world.replica, "POST", path, FORM, form.encode()).status == 401
    assert call(world.replica, "POST", path, {**FORM, **held}, b"grant_type=x").status == 401
    seen = [value for one in world.upstream.seen for _, value in one.fields.pairs]
    assert seen
    assert not any(token in value for value in seen)
    assert world.upstream.count("POST") == 0
    assert [each.grant for each in world.token_server.requests].count("refresh_token") == 0


# --- what can't be read ---------------------------------------------------------------------------

MALFORMED = {
    "a parameter twice": b"grant_type=password&grant_type=password&username=a&password=b",
    "a user twice": b"grant_type=password&username=a&username=b&password=c",
    "a service twice": b"grant_type=password&username=a&password=b&service=x&service=y",
    "not UTF-8 when decoded": b"grant_type=password&username=%ff%fe&password=b",
    "not ASCII": "grant_type=password&username=ä&password=b".encode(),
    "very many fields": b"&".join(b"f%d=1" % number for number in range(100)),
    "very many scopes": b"grant_type=password&scope="
    + b"+".join(b"a:%d:pull" % i for i in range(40)),
}


@pytest.mark.parametrize("form", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_form_is_refused(form, still_world):
    """A form that can be read in two ways, or not at all, is answered 400 and goes nowhere."""
    world = still_world
    before = list(world.token_server.requests)
    reply = post_token(world.replica, form)
    assert (reply.status, reply.error_codes) == (400, ["UNSUPPORTED"])
    assert world.token_server.requests == before


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_form_has_a_size(is_chunked, still_world):
    """A form of more than 64 KiB is answered 413, announced or not; an announced one isn't read."""
    world = still_world
    before = list(world.token_server.requests)
    host, path = world.replica.address, token_path(world.replica)
    body = b"a=" + b"x" * (65 << 10)
    length = ("Transfer-Encoding", "chunked") if is_chunked else ("Content-Length", str(10**10))
    fields = (*FORM.items(), length, ("Expect", "100-continue"))
    if is_chunked:
        chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        reply = exchange(host, request_bytes("POST", path, host, *fields, body=chunk))
    else:
        reply = exchange(host, request_bytes("POST", path, host, *fields))
        assert reply.interim == ()
    assert reply.status == 413
    assert world.token_server.requests == before


def test_a_form_that_does_not_come_is_not_waited_for(token_world, monkeypatch):
    """A client that announces a form and sends nothing gets its answer in time."""
    monkeypatch.setattr("proxy.web.token_request.FORM_SECONDS", 0.2)
    world = token_world()
    host = world.replica.address
    fields = (*FORM.items(), ("Content-Length", "100"))
    reply = exchange(host, request_bytes("POST", token_path(world.replica), host, *fields))
    assert reply.status == 400


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("PUT", FORM, 405),
        ("HEAD", {}, 405),
        ("DELETE", {}, 405),
        ("POST", {"Content-Type": "application/json"}, 400),
        ("GET", {"Authorization": "Basic !!!"}, 400),
        ("GET", {"Authorization": "Basic " + base64.b64encode(b"nocolon").decode()}, 400),
        ("GET", {"Authorization": "Digest x"}, 400),
    ],
)
def test_other_ways_to_ask_are_refused(method, headers, status, still_world):
    """The endpoint has two methods, one type of form and two kinds of authorization."""
    world = still_world
    before = list(world.token_server.requests)
    reply = call(world.replica, method, token_path(world.replica), headers)
    assert reply.status == status
    assert world.token_server.requests == before


def test_a_password_is_bytes(token_world, accounts):
    """Passwords of any letters log in by GET and by POST; a colon may stand in a password only."""
    odd = accounts.add("zoë", "pä:ß wörd+&=%", *accounts._grants["alice"])
    world = token_world()
    by_get = ask_token(world.replica, PULL, credentials=odd).expect(200).json()["token"]
    by_post = post_token(world.replica, password_form(odd, scope=PULL)).expect(200).json()["token"]
    assert claims_of(by_get)["sub"] == claims_of(by_post)["sub"]
    split = Credentials("zoë:pä", "ß wörd+&=%")
    assert post_token(world.replica, password_form(split, scope=PULL)).status == 401


def test_many_long_scopes_still_give_a_usable_token(still_world, alice):
    """A token for more scopes than a header carries is the primary's to give."""
    world = still_world
    names = ["a/" + "x" * 200 + str(number) for number in range(30)]
    reply = ask_token(world.replica, *(f"repository:{n}:pull" for n in names), credentials=alice)
    assert world.token_server.is_valid(reply.expect(200).json()["access_token"])


def test_no_token_where_there_are_none(password_world, alice):
    """Settled 3: tokens are issued only where the primary challenges Bearer."""
    world = password_world()
    assert call(world.replica, "GET", f"/v2/token?scope={PULL}").status == 404
