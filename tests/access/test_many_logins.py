"""Many clients that log in: what the primary hears of it, and what others notice."""

import asyncio

import aiohttp
import pytest

from proxy.oci.caller import Caller
from proxy.oci.errors import Unauthorized
from proxy.oci.request import Action
from tests.access.worlds import token_path
from tests.support.accounts import Credentials
from tests.support.hostile import Hold
from tests.support.token_calls import basic_value
from tests.support.token_server import Failure
from tests.support.waiting import eventually

CLIENTS = 200
SCOPE = "repository:alice/app:pull"


@pytest.fixture
async def session():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


async def get(session, url, **headers):
    async with session.get(url, headers=headers) as reply:
        return reply.status, await reply.read()


async def test_many_clients_of_one_user_cost_the_primary_one_login(token_world, alice, session):
    """Design 10: 200 clients that fetch a token each, of one user: at most two authentication
    requests at the primary; pulls after the first ask it nothing.
    """
    world = token_world()
    path = token_path(world.replica)
    world.upstream.forget()
    login = {"Authorization": basic_value(alice)}

    async def client(number):
        async with session.get(
            f"{world.replica.url}{path}", params={"scope": SCOPE, "client": number}, headers=login
        ) as reply:
            token = (await reply.json())["token"]
        return {"Authorization": f"Bearer {token}"}

    tokens = await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    assert len(world.token_server.requests) == 1
    digest = world.images["alice/app"].digest
    url = f"{world.replica.url}/v2/alice/app/manifests/{digest}"
    assert (await get(session, url, **tokens[0]))[0] == 200
    asked = world.upstream.count() + len(world.token_server.requests)
    assert asked <= 1 + 2  # the login; a HEAD that proves the right, a GET that brings it here
    answers = await asyncio.gather(*(get(session, url, **token) for token in tokens))
    assert [status for status, _ in answers] == [200] * CLIENTS
    assert world.upstream.count() + len(world.token_server.requests) == asked


async def test_many_cold_pulls_of_one_user_fetch_one_token(token_world, alice, session):
    """A runtime that asks for all layers at once with a password costs one token at the primary."""
    world = token_world()
    login = {"Authorization": basic_value(alice)}
    image = world.images["alice/app"]
    urls = [f"{world.replica.url}/v2/alice/app/blobs/{each.digest}" for each in image.blobs] * 5
    answers = await asyncio.gather(*(get(session, url, **login) for url in urls))
    assert [status for status, _ in answers] == [200] * len(urls)
    assert len(world.token_server.requests) == 1


@pytest.mark.parametrize("kind", ["tokens", "passwords"])
async def test_bad_logins_hold_up_nobody(kind, token_world, password_world, alice, session):
    """T19: while many bad logins wait for the primary's slow no, hits are answered, and none of
    them asks anybody.
    """
    world = token_world() if kind == "tokens" else password_world()
    digest = world.images["alice/app"].digest
    url = f"{world.replica.url}/v2/alice/app/manifests/{digest}"
    login = {"Authorization": basic_value(alice)}
    assert (await get(session, url, **login))[0] == 200
    slow = world.upstream.inject(Hold(), method="HEAD", times=None)
    asked = 0
    if world.tokens:
        world.tokens.failure = Failure.HANG
        asked = len(world.tokens.requests)

    def waiting():
        return len(world.tokens.requests) - asked if world.tokens else slow.fired

    async def guess(number):
        stranger = Credentials("alice", f"guess {number}")
        return await get(session, url, Authorization=basic_value(stranger))

    guesses = [asyncio.create_task(guess(number)) for number in range(50)]
    await eventually(lambda: waiting() == 50)
    before = world.upstream.count()
    async with asyncio.timeout(20):
        answers = [await get(session, url, **login) for _ in range(50)]
    assert [status for status, _ in answers] == [200] * 50
    assert world.upstream.count() == before
    assert waiting() == 50
    assert not any(each.done() for each in guesses)
    world.upstream.heal()
    if world.tokens:
        world.tokens.failure = None
    refused = {status for status, _ in await asyncio.gather(*guesses)}
    assert refused == ({503} if world.tokens else {401})


def known_of(world):
    return world.replica.replica._chain.primary._behalf._known


def test_a_strangers_bad_login_looks_through_no_rights(token_world, monkeypatch):
    """T19: a refused login is looked up among rights only if it ever was accepted: with a hundred
    thousand rights each guess of a password would stop everything for a moment.
    """
    world = token_world()
    looked = []
    rights = known_of(world).rights
    end_where = rights.end_where
    monkeypatch.setattr(rights, "end_where", lambda matches: looked.append(1) or end_where(matches))
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    for number in range(5):
        guess = world.replica.client(Credentials("alice", f"guess {number}"))
        header = {"Authorization": basic_value(guess.credentials)}
        assert guess.get("/v2/alice/app/manifests/latest", header).status == 401
    assert looked == []
    world.accounts.remove("alice")
    world.replica.clock.advance(60)
    assert world.pull(alice, "alice/app").status == 401
    assert looked == [1]


def test_a_refused_login_ends_all_its_rights(token_world):
    """Settled 7: when a login isn't accepted any more, its rights in every repository end."""
    known = known_of(token_world())
    caller, other = Caller("a" * 64), Caller("b" * 64)
    keys = [(who, name, Action.PULL) for who in (caller, other) for name in ("x", "y")]
    for key in keys:
        known.rights.grant(key)
        known.logins.grant(key[0])
    known.end_login(caller, Unauthorized())
    assert [known.rights.is_granted(key) for key in keys] == [False, False, True, True]


def test_passwords_of_strangers_are_not_kept(token_world):
    """T19: a password that isn't accepted leaves memory at once, and pushes nobody's out."""
    world = token_world()
    world.pull(world.client("alice"), "alice/app").expect(200)
    for number in range(5):
        guess = {"Authorization": basic_value(Credentials("alice", f"guess {number}"))}
        assert world.client().get("/v2/alice/app/manifests/latest", guess).status == 401
    held = [credential for _, credential in known_of(world).keeper._held.items()]
    assert [each.credential.password for each in held] == ["alice's secret"]
