"""Who may pull: only whom the primary let in, with that caller's own credential, and not longer."""

import pytest

from tests.access.in_process import in_process
from tests.access.scripted import scripted
from tests.access.worlds import ask_token, bearer, call, challenge_of, claims_of, contents
from tests.support.hostile import (
    BLOBS,
    Answer,
    BasicLogin,
    Challenge,
    Page,
    Redirect,
    Status,
    hostile_upstream,
)
from tests.support.hostile.answers import problem
from tests.support.token_calls import basic, basic_value
from tests.support.token_signer import Signer
from tests.support.waiting import wait_until

TTL = 60.0
ABSENT = "sha256:" + "0" * 64


@pytest.fixture
def world(warm_world):
    return warm_world


# --- what gives a right ---------------------------------------------------------------------------


def test_a_token_proves_a_login_and_no_right(token_world, alice, bob):
    """Settled 2: the token service answers 200 with fewer rights; what bob pulled stays bob's."""
    world = token_world()
    world.pull(world.client("bob"), "bob/app").expect(200)
    scope = "repository:bob/app:pull"
    reply = ask_token(world.replica, scope, "repository:alice/app:pull", credentials=alice)
    target = f"/v2/bob/app/manifests/{world.images['bob/app'].digest}"
    refused = call(world.replica, "GET", target, bearer(reply))
    assert (refused.status, challenge_of(refused)["error"]) == (401, "insufficient_scope")
    assert challenge_of(refused)["scope"] == scope
    assert call(world.replica, "GET", world.layer("bob/app"), bearer(reply)).status == 401
    # what the primary just refused isn't promised again
    again = ask_token(world.replica, scope, "repository:alice/app:pull", credentials=alice)
    entries = claims_of(again.json()["token"])["access"]
    assert [entry["name"] for entry in entries] == ["alice/app"]


def test_a_404_decides_nothing(world):
    """Settled 2: a 404 neither gives a right nor ends one."""
    alice = world.client("alice")
    assert alice.get(f"/v2/alice/app/manifests/{ABSENT}").status == 404
    world.upstream.cut()
    assert world.pull(alice, "alice/app").status == 503
    world.upstream.restore()
    world.replica.clock.advance(11)
    world.pull(alice, "alice/app").expect(200)
    world.replica.clock.advance(TTL)
    assert alice.get(f"/v2/alice/app/manifests/{ABSENT}").status == 404
    world.upstream.cut()
    assert world.pull(alice, "alice/app").status == 200


def test_a_redirect_is_a_right(world):
    """Settled 2: the primary's 3xx lets the caller in, whatever it leads to."""
    fault = world.upstream.inject(Redirect("http://elsewhere.test/x"), method="HEAD")
    assert world.client("alice").get(world.layer("alice/app")).status == 200
    assert fault.fired == 1


@pytest.mark.parametrize("status", [200, 404])
def test_a_page_is_no_answer_of_a_registry(status, world):
    """A default backend that answers everything, with a page, lets nobody in."""
    fault = world.upstream.inject(Page(status), times=None)
    stranger = {"Authorization": basic_value(world.accounts.add("eve", "x"))}
    world.accounts.remove("eve")
    target = f"/v2/alice/app/manifests/{world.images['alice/app'].digest}"
    reply = call(world.replica, "GET", target, stranger)
    assert reply.status == (502 if status == 200 else 404)
    assert fault.fired
    world.upstream.heal()
    assert call(world.replica, "GET", target, stranger).status == 401


def test_one_credential_gives_another_nothing(world, alice):
    """Identities share nothing: not by user name, not by password, not by how they are written."""
    world.pull(world.client("alice"), "alice/app").expect(200)
    world.upstream.cut()
    target = world.layer("alice/app")
    right = basic_value(alice)
    assert call(world.replica, "GET", target, {"Authorization": right}).status == 200
    spaced = right.replace("Basic ", "basic   ")
    assert call(world.replica, "GET", target, {"Authorization": spaced}).status == 200
    for other in ("alice", "bob", "admin"):
        wrong = type(alice)(other, alice.password if other != "alice" else "another")
        headers = {"Authorization": basic_value(wrong)}
        assert call(world.replica, "GET", target, headers).status == 503
    bearer_of_it = {"Authorization": f"Bearer {right.partition(' ')[2]}"}
    assert call(world.replica, "GET", target, bearer_of_it).status == 503
    assert call(world.replica, "GET", target).status == 401


# --- what ends it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_a_fresh_refusal_ends_a_right_at_once(status, world):
    """Settled 7: a 401 or 403 of the primary ends what was granted; it comes back with its yes."""
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    refusal = world.upstream.inject(Status(status), times=None)
    assert alice.get(f"/v2/alice/app/manifests/{ABSENT}").status == status
    asked = refusal.fired
    assert world.pull(alice, "alice/app").status == status
    assert refusal.fired == asked  # remembered for a moment
    world.replica.clock.advance(2)
    assert world.pull(alice, "alice/app").status == status
    assert refusal.fired > asked
    world.upstream.heal()
    world.replica.clock.advance(2)
    assert world.pull(alice, "alice/app").status == 200
    assert world.pull(world.client("admin"), "alice/app").status == 200


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_storage_ends_no_right(status, password_world, opened):
    """Settled 7: what storage says to a redirected read is no word about the caller."""
    storage = opened(hostile_upstream())
    fault = storage.inject(Status(status), times=None)
    world = password_world(primary={"storage_origins": (storage.url,)})
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    world.upstream.inject(Redirect(f"{storage.url}/object"), path=BLOBS, times=None)
    assert alice.get(world.layer("alice/app")).status == 503
    assert fault.fired
    world.upstream.forget()
    assert world.pull(alice, "alice/app").status == 200
    assert world.upstream.seen == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_from_memory_ends_no_right(status, token_world):
    """Settled 7: a token of the primary that was kept too long is replaced, and nothing ends."""
    world = token_world()
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    world.replica.clock.advance(1)
    world.upstream.forget()
    asked = len(world.token_server.requests)
    fault = world.upstream.inject(Status(status), path=BLOBS)
    assert alice.get(world.layer("alice/app")).status == 200
    assert fault.fired == 1
    assert world.upstream.count("GET", BLOBS) == 2
    assert len(world.token_server.requests) == asked + 1
    assert world.pull(alice, "alice/app").status == 200


def test_a_new_key_of_the_token_service_ends_no_right(token_world, tmp_path):
    """Settled 7: tokens of an old key are replaced when the primary refuses them."""
    world = token_world()
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    world.replica.clock.advance(1)
    world.token_server.signer = Signer(tmp_path / "new")
    assert alice.get(world.layer("alice/app")).status == 200


def test_a_token_refused_fresh_is_not_fetched_again(token_world, alice):
    """A refusal of a token that was just fetched is final: the primary isn't asked twice."""
    world = token_world()
    target = f"/v2/bob/app/manifests/{world.images['bob/app'].digest}"
    assert call(world.replica, "GET", target, {"Authorization": basic_value(alice)}).status == 401
    assert world.upstream.count("HEAD") == 1
    assert len(world.token_server.requests) == 1


@pytest.mark.parametrize("status", [400, 403])
def test_a_scope_that_is_refused_ends_no_login(status, opened, alice):
    """A token service that refuses one scope says nothing about the login or other scopes."""
    held, images = contents()
    primary = opened(hostile_upstream(contents=held))

    def answer(request):
        if "bob" in request.query:
            return Answer(status)
        return Answer(200, (), b'{"token":"any"}')

    service = opened(scripted(answer))
    challenge = Challenge(f'Bearer realm="{service.url}/token",service="tests"')
    primary.inject(
        challenge, where=lambda request: "Authorization" not in request.fields, times=None
    )
    one = opened(in_process(primary.url, primary={"trusted_origins": (service.url,)}))
    login = {"Authorization": basic_value(alice)}
    for _ in range(2):
        for name, expected in (("alice/app", 200), ("bob/app", 403)):
            target = f"/v2/{name}/manifests/{images[name].digest}"
            assert call(one, "GET", target, login).status == expected
            reply = ask_token(one, f"repository:{name}:pull", credentials=alice)
            assert reply.status == 200
        one.clock.advance(31)


@pytest.mark.parametrize("kind", ["tokens", "passwords"])
def test_a_revoked_credential_stops_within_the_ttl(kind, token_world, password_world):
    """C15: a revoked user's last pull is at most access.ttl after the revocation, whatever tokens
    of ours and of the primary are still valid; and it pulls again once it is let in again.
    """
    world = token_world() if kind == "tokens" else password_world()
    clock = world.replica.clock
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    grants, credentials = world.accounts._grants["alice"], world.accounts.credentials_of("alice")
    clock.advance(7)
    world.accounts.remove("alice")
    alice.credentials = None
    last_success, age = 0.0, 0.0
    while age <= 2 * TTL:
        if world.pull(alice, "alice/app").status == 200:
            last_success = age
        clock.advance(5)
        age += 5
    assert last_success < TTL
    world.accounts.add("alice", credentials.password, *grants)
    clock.advance(2)
    assert world.pull(world.client("alice"), "alice/app").status == 200


def test_a_refresh_behind_the_answer_finds_a_revocation(token_world):
    """C15: from half of the ttl a pull is answered and, behind it, the revocation found: with a
    token fetched anew, since those in memory are good for minutes.
    """
    world = token_world()
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    world.accounts.remove("alice")
    world.replica.clock.advance(TTL / 2)
    assert world.pull(alice, "alice/app").status == 200
    wait_until(lambda: world.pull(alice, "alice/app").status == 401)
    assert world.token_server.requests[-1].status == 401


def test_a_new_password_is_a_new_identity(token_world):
    """After a change of password the old one stops within the ttl, the new one pulls at once."""
    world = token_world()
    old = world.client("alice")
    world.pull(old, "alice/app").expect(200)
    world.accounts.add("alice", "changed", *world.accounts._grants["alice"])
    assert world.pull(world.client("alice"), "alice/app").status == 200
    old.log_out()
    old.credentials = type(old.credentials)("alice", "alice's secret")
    world.replica.clock.advance(TTL)
    assert world.pull(old, "alice/app").status == 401
    assert world.pull(world.client("alice"), "alice/app").status == 200


class Lists:
    """Passwords, and callers who may list tags but not pull, or pull but not list."""

    def __init__(self, accounts):
        self.inner = BasicLogin(accounts)

    def refusal(self, request, rights):
        is_listing = request.path.endswith("/tags/list")
        who = basic(request.fields.get("Authorization")).username
        if is_listing == (who == "lister"):
            return None if is_listing else self.inner.refusal(request, rights)
        return problem(403, "DENIED")


def test_who_may_list_may_not_pull_for_that(world, accounts):
    """A listing's yes is no right to pull, and its no ends none: registries may tell them apart."""
    accounts.add("lister", "secret")
    world.upstream.settings.login = Lists(accounts)
    lister, alice = world.client("lister"), world.client("alice")
    for _ in range(2):
        assert lister.get("/v2/alice/app/tags/list").status == 200
        assert world.pull(lister, "alice/app").status == 403
        assert world.pull(alice, "alice/app").status == 200
        assert alice.get("/v2/alice/app/tags/list").status == 403
        assert world.pull(alice, "alice/app").status == 200
    world.upstream.cut()
    assert lister.get("/v2/alice/app/tags/list").status == 200
    assert world.pull(lister, "alice/app").status in (403, 503)


def test_forbidden_and_absent_cost_the_same_questions(world, bob):
    """T18: how long a refusal takes doesn't tell what is there: the primary is asked as often."""
    login = {"Authorization": basic_value(bob)}
    costs = set()
    for name in ("app", "absent", "other/absent"):
        for digest in (world.images["alice/app"].digest, ABSENT):
            world.upstream.forget()
            target = f"/v2/alice/{name}/manifests/{digest}"
            assert call(world.replica, "GET", target, login).status == 403
            costs.add(tuple((seen.method, seen.status) for seen in world.upstream.seen))
            world.replica.clock.advance(3)
    assert costs == {(("HEAD", 403),)}
