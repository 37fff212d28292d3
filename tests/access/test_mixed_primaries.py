"""Primaries that challenge here and not there, or today otherwise than yesterday."""

from itertools import permutations

import pytest

from tests.access.in_process import in_process
from tests.access.worlds import (
    World,
    ask_token,
    bearer,
    call,
    challenge_of,
    contents,
    with_passwords,
)
from tests.support.hostile import (
    Anybody,
    BasicLogin,
    Settings,
    TokenLogin,
    hostile_upstream,
)
from tests.support.token_calls import basic_value
from tests.support.waiting import wait_until

SOON = 301.0  # a remembered challenge is looked at again after five minutes


@pytest.fixture
def mixed(accounts, opened):
    """As zot with anonymous reading: /v2/ is open, ``public/`` too, the rest wants a password."""
    held, images = contents()
    upstream = opened(hostile_upstream(contents=held, settings=with_passwords(accounts)))
    return World(upstream, accounts, images, opened(in_process(upstream.url)))


def target_of(world, repository):
    return f"/v2/{repository}/manifests/{world.images[repository].digest}"


def test_an_open_door_stays_open_beside_a_closed_repository(mixed, alice):
    """Settled 1, 3: where /v2/ is open and a repository challenges, each goes on as it does."""
    login = {"Authorization": basic_value(alice)}
    for _ in range(2):
        assert call(mixed.replica, "GET", target_of(mixed, "public/app")).status == 200
        refused = call(mixed.replica, "GET", target_of(mixed, "alice/app"))
        assert (refused.status, refused.header("WWW-Authenticate")) == (
            401,
            'Basic realm="hostile"',
        )
        assert call(mixed.replica, "GET", target_of(mixed, "alice/app"), login).status == 200
        assert call(mixed.replica, "GET", target_of(mixed, "public/app"), login).status == 200
        assert call(mixed.replica, "GET", target_of(mixed, "bob/app"), login).status == 403
        assert call(mixed.replica, "GET", "/v2/").status == 200
        mixed.replica.clock.advance(SOON)


def test_nobody_is_asked_for_a_password_to_write(mixed, alice):
    """Where all may read and a login may write, a write without one is challenged as there."""
    target = "/v2/alice/app/blobs/uploads/"
    refused = call(mixed.replica, "POST", target)
    assert (refused.status, refused.header("WWW-Authenticate")) == (401, 'Basic realm="hostile"')
    login = {"Authorization": basic_value(alice)}
    assert call(mixed.replica, "POST", target, login).status == 202


def test_a_closed_repository_of_an_open_primary_in_an_outage(mixed, alice):
    """Settled 1: that a repository challenges is remembered too, over a restart in an outage."""
    login = {"Authorization": basic_value(alice)}
    assert call(mixed.replica, "GET", target_of(mixed, "alice/app")).status == 401
    assert call(mixed.replica, "GET", target_of(mixed, "alice/app"), login).status == 200
    mixed.upstream.cut()
    mixed.replica.clock.advance(120)
    assert call(mixed.replica, "GET", target_of(mixed, "alice/app"), login).status == 200
    assert call(mixed.replica, "GET", target_of(mixed, "alice/app")).status in (401, 503)


@pytest.fixture
def mixed_tokens(accounts, tokens, opened):
    """/v2/ and ``public/`` are open, the rest wants a token."""
    held, images = contents()

    class Login:
        inner = TokenLogin(tokens)

        def refusal(self, request, rights):
            is_open = not rights or all(right.repository == "public/app" for right in rights)
            return None if is_open else self.inner.refusal(request, rights)

    upstream = opened(hostile_upstream(contents=held, settings=Settings(login=Login())))
    trusted = {"trusted_origins": (f"http://{tokens.address}",)}
    one = opened(in_process(upstream.url, primary=trusted))
    return World(upstream, accounts, images, one, tokens)


def test_a_token_for_a_repository_of_an_open_primary(mixed_tokens, alice):
    """Settled 3: where only a repository wants tokens, clients are led to us for them, and what is
    open stays open for whoever presents nothing.
    """
    world = mixed_tokens
    world.token_server.requires_login = True
    for _ in range(2):
        assert call(world.replica, "GET", target_of(world, "public/app")).status == 200
        refused = call(world.replica, "GET", target_of(world, "alice/app"))
        challenge = challenge_of(refused)
        assert (refused.status, challenge["scope"]) == (401, "repository:alice/app:pull")
        path = challenge["realm"].removeprefix(world.replica.url)
        login = {"Authorization": basic_value(alice)}
        query = "?service=x&scope=repository:alice/app:pull"
        token = bearer(call(world.replica, "GET", path + query, login))
        assert call(world.replica, "GET", target_of(world, "alice/app"), token).status == 200
        assert call(world.replica, "GET", target_of(world, "alice/app")).status == 401
        world.replica.clock.advance(SOON)
    assert [each.username for each in world.token_server.requests if each.status == 200] == [
        "alice"
    ] * 2


# --- a primary that changes -----------------------------------------------------------------------


@pytest.fixture
def changing(accounts, tokens, opened):
    """Gives a function that makes a world whose primary begins with *login*."""

    def make(login):
        held, images = contents()
        upstream = opened(hostile_upstream(contents=held, settings=Settings(login=login)))
        trusted = {"trusted_origins": (f"http://{tokens.address}",)}
        one = opened(in_process(upstream.url, primary=trusted))
        return World(upstream, accounts, images, one, tokens)

    return make


def pulls(world, username):
    return world.client(username).get(target_of(world, "alice/app")).status


def ways(accounts, tokens):
    return {"open": Anybody(), "passwords": BasicLogin(accounts), "tokens": TokenLogin(tokens)}


@pytest.mark.parametrize(
    ("before", "after"), list(permutations(("open", "passwords", "tokens"), 2))
)
def test_a_primary_that_authenticates_otherwise_from_now_on(
    before, after, changing, accounts, tokens
):
    """A challenge that changes is followed: who has a right pulls, within the ttl nobody else does,
    and after some minutes clients without credentials are challenged in the new way.
    """
    accounts.anonymous = ()
    login = ways(accounts, tokens)
    world = changing(login[before])
    assert pulls(world, "alice") == 200
    world.upstream.settings.login = login[after]
    world.replica.clock.advance(61)
    wait_until(lambda: pulls(world, "alice") == 200)
    if after != "open":
        assert pulls(world, "bob") in (401, 403)
        assert pulls(world, None) == 401
    world.replica.clock.advance(SOON)
    pulls(world, "alice")  # whoever comes first lets it be looked at
    scheme = {"open": None, "passwords": "basic", "tokens": "bearer"}[after]

    def is_followed():
        return challenge_of(call(world.replica, "GET", "/v2/")).get("scheme") == scheme

    wait_until(is_followed)
    assert pulls(world, "alice") == 200
    assert pulls(world, None) == (200 if after == "open" else 401)


def test_another_service_name(token_world, alice):
    """A token service that is renamed is followed, and clients get tokens for the new name."""
    world = token_world()
    token = bearer(ask_token(world.replica, "repository:alice/app:pull", credentials=alice))
    assert call(world.replica, "GET", target_of(world, "alice/app"), token).status == 200
    world.token_server.service = "renamed"
    world.replica.clock.advance(SOON)
    world.client("alice").get(world.layer("alice/app"))  # lets it be looked at

    def is_followed():
        return challenge_of(call(world.replica, "GET", "/v2/"))["service"] == "renamed"

    wait_until(is_followed)
    assert world.client("alice").get(world.layer("alice/app")).status == 200
