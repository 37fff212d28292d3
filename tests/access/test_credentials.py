"""Credentials: held while they are in use, in memory only, and used for nobody else."""

import base64

import pytest

from config import Secret
from proxy.oci.errors import BadRequest
from proxy.registry.credentials import Basic, Bearer, CredentialKeeper, parse_authorization
from tests.access.in_process import ManualClock
from tests.access.worlds import ask_token, bearer, call, challenge_of
from tests.support.accounts import PULL, Grant
from tests.support.hostile import BLOBS
from tests.support.token_calls import basic_value
from tests.support.waiting import wait_until

TTL = 60.0
READER = {"username": "reader", "password": Secret("reader's secret")}
SCOPE = "repository:alice/app:pull"


def keeper_of(world):
    return world.replica.replica._chain.primary._behalf._known.keeper


def held(world):
    return [credential for _, credential in keeper_of(world)._held.items()]


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "credential"),
    [
        ("", None),
        ("Basic YTpi", Basic("a", "b")),
        ("bASIC   YTpi ", Basic("a", "b")),
        ("Basic YTpiOmM=", Basic("a", "b:c")),
        ("Basic Og==", Basic("", "")),
        ("Bearer abc.def", Bearer("abc.def")),
        ("bearer abc", Bearer("abc")),
    ],
)
def test_an_authorization_is_read(header, credential):
    """A header gives a user with a password, or a token; the scheme's case doesn't matter."""
    assert parse_authorization(header) == credential


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic YQ==",
        "Basic YTpi YTpi",
        "Basic YTpiCg==",
        "Digest YTpi",
        "Bearer",
        "Bearer \xe4",
        "Bearer " + "a" * 20_000,
        "YTpi",
    ],
)
def test_what_is_no_authorization_is_refused(header):
    """A header that can't be read is an error, never nobody."""
    with pytest.raises(BadRequest):
        parse_authorization(header)


@pytest.mark.parametrize("pair", [b"a:b", "ä:ß€".encode(), b"\xe4:\xdf", b":", b"a:b:c"])
def test_a_password_goes_on_as_it_came(pair):
    """Basic credentials reach the primary byte for byte, in whatever encoding."""
    header = "Basic " + base64.b64encode(pair).decode()
    credential = parse_authorization(header)
    assert isinstance(credential, Basic)
    assert credential.header == header
    assert "b" not in repr(credential).partition("password")[2]


# --- holding --------------------------------------------------------------------------------------


def test_a_credential_is_held_for_the_ttl_after_its_last_use():
    """Settled 5: in memory, for access.ttl after the last use."""
    clock = ManualClock()
    keeper = CredentialKeeper(TTL, clock.now)
    caller = keeper.caller(Basic("a", "b"))
    for _ in range(3):
        clock.advance(TTL)
        assert keeper.credential(caller) == Basic("a", "b")
    clock.advance(TTL + 1)
    assert keeper.credential(caller) is None
    assert len(keeper) == 0


def test_a_credential_is_held_while_its_token_is_valid():
    """Settled 5, 25: a client that holds a token of ours needn't log in again to use it."""
    clock = ManualClock()
    keeper = CredentialKeeper(TTL, clock.now)
    caller = keeper.caller(Basic("a", "b"))
    keeper.hold_for(caller, 360)
    clock.advance(360)
    assert keeper.credential(caller) is not None
    other = keeper.caller(Basic("c", "d"))
    clock.advance(TTL + 1)
    keeper.forget_unused()
    assert len(keeper) == 0
    assert keeper.credential(other) is None


def test_callers_of_two_processes_are_strangers():
    """A caller's name is made with a key that dies with the process."""
    one, other = (CredentialKeeper(TTL, ManualClock().now) for _ in range(2))
    assert one.caller(Basic("a", "b")) == one.caller(Basic("a", "b"))
    assert one.caller(Basic("a", "b")) != other.caller(Basic("a", "b"))
    assert one.caller(Basic("a", "b")) != one.caller(Basic("a", "c"))
    assert one.caller(Basic("a", "b")) != one.caller(Bearer("YTpi"))


def test_a_replica_forgets_passwords_by_itself(password_world):
    """Settled 5: a password that nobody uses any more leaves memory without anybody coming."""
    world = password_world(access={"ttl": 0.2})
    world.pull(world.client("alice"), "alice/app").expect(200)
    assert len(keeper_of(world)) == 1
    world.replica.clock.advance(1)
    wait_until(lambda: len(keeper_of(world)) == 0)


def test_passwords_stay_off_the_disk(token_world, alice):
    """Settled 5: nothing that a client presented, nor a token for it, is written anywhere."""
    world = token_world()
    reply = ask_token(world.replica, SCOPE, credentials=alice)
    assert call(world.replica, "GET", world.layer("alice/app"), bearer(reply)).status == 200
    login = {"Authorization": basic_value(alice)}
    call(world.replica, "GET", world.layer("alice/app"), login).expect(200)
    world.replica.stop()
    secrets = [alice.password, basic_value(alice)[6:], reply.json()["token"]]
    files = [path for path in world.replica.log.parent.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        data = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in data], path


# --- a token whose credential is gone -------------------------------------------------------------


@pytest.fixture
def lapsed(token_world, alice):
    """Gives a function that makes a world where alice's token and right are good and her
    credential is gone; what is asked of her repository by others is here.
    """

    def make(**sections):
        world = token_world(**sections)
        token = bearer(ask_token(world.replica, SCOPE, credentials=alice))
        digest = world.images["alice/app"].digest
        target = f"/v2/alice/app/manifests/{digest}"
        assert call(world.replica, "GET", target, token).status == 200
        for caller, _ in list(keeper_of(world)._held.items()):
            keeper_of(world).forget(caller)
        return world, token, target

    return make


def test_without_its_credential_a_token_reads_what_is_here(lapsed):
    """Settled 5: a valid token whose credential is gone reads what is local, by its right; for the
    rest its client is sent to log in again, and what it then asks for works.
    """
    world, token, target = lapsed()
    assert call(world.replica, "GET", target, token).status == 200
    refused = call(world.replica, "GET", world.layer("alice/app"), token)
    assert (refused.status, challenge_of(refused)["error"]) == (401, "invalid_token")
    alice = world.client("alice")
    assert alice.get(world.layer("alice/app")).status == 200
    assert call(world.replica, "GET", world.layer("alice/app"), token).status == 200


def test_without_its_credential_a_right_ends_with_its_ttl(lapsed):
    """Settled 5: a lapsed right that can't be asked for again is none."""
    world, token, target = lapsed()
    world.replica.clock.advance(TTL)
    refused = call(world.replica, "GET", target, token)
    assert (refused.status, challenge_of(refused)["error"]) == (401, "invalid_token")


def test_our_own_identity_fills_for_a_token_without_credential(lapsed, accounts):
    """Settled 5: with a read-only identity of the replica, a fill needs no credential of the
    caller; the caller's right is needed all the same.
    """
    accounts.add("reader", "reader's secret", Grant("*", PULL))
    world, token, _ = lapsed(primary=READER)
    assert call(world.replica, "HEAD", world.layer("alice/app"), token).status == 200
    assert call(world.replica, "GET", world.layer("alice/app"), token).status == 200
    assert world.token_server.requests[-1].username == "reader"
    assert call(world.replica, "GET", world.layer("bob/app"), token).status == 401


def test_after_a_restart_the_client_logs_in_again(token_world, alice):
    """Settled 5: a token of before a restart names nobody; its client gets a new one."""
    world = token_world()
    token = bearer(ask_token(world.replica, SCOPE, credentials=alice))
    target = world.layer("alice/app")
    assert call(world.replica, "GET", target, token).status == 200
    world.replica.restart()
    refused = call(world.replica, "GET", target, token)
    assert (refused.status, challenge_of(refused)["error"]) == (401, "invalid_token")
    assert world.client("alice").get(target).status == 200


def test_a_slow_client_needs_no_second_login(token_world, alice):
    """Settled 25: a client that comes back with its valid token after minutes gets what it asks
    for, as it would at the primary; skopeo and Docker give up on a second 401.
    """
    world = token_world()
    token = bearer(ask_token(world.replica, SCOPE, credentials=alice))
    for blob in world.images["alice/app"].blobs:
        target = f"/v2/alice/app/blobs/{blob.digest}"
        assert call(world.replica, "GET", target, token).status == 200
        world.replica.clock.advance(2 * TTL)


# --- whose credential a fill takes ----------------------------------------------------------------


def test_fills_take_our_own_identity_where_it_may(password_world, accounts):
    """Settled 8: a fill asks as the replica; where that one may not, as the caller."""
    reader = accounts.add("reader", "reader's secret", Grant("shared/*", PULL))
    world = password_world(primary=READER)
    alice = world.client("alice")
    for repository, expected in (("shared/app", [reader]), ("alice/app", [reader, alice])):
        world.upstream.forget()
        assert alice.get(world.layer(repository)).status == 200
        seen = world.upstream.requests("GET", BLOBS)
        logins = [getattr(each, "credentials", each) for each in expected]
        assert [one.fields.get("Authorization") for one in seen] == list(map(basic_value, logins))
        proofs = world.upstream.requests("HEAD", BLOBS)
        assert [one.fields.get("Authorization") for one in proofs] == [
            basic_value(alice.credentials)
        ]


def test_our_own_identity_lets_nobody_in(password_world, accounts):
    """T24: that the replica may pull a repository gives no caller a right there."""
    accounts.add("reader", "reader's secret", Grant("*", PULL))
    world = password_world(primary=READER)
    assert world.client("alice").get(world.layer("bob/app")).status == 403
    assert world.client().get(world.layer("bob/app")).status == 401
    assert world.upstream.count("GET", BLOBS) == 0


def test_writes_carry_the_callers_authorization_byte_for_byte(password_world, accounts, alice):
    """T24: a write goes with what its caller presented, as it was written, or not at all."""
    accounts.add("reader", "reader's secret", Grant("*"))
    world = password_world(primary=READER)
    odd = basic_value(alice).replace("Basic", "bAsIc")
    target = "/v2/alice/app/blobs/uploads/"
    assert call(world.replica, "POST", target, {"Authorization": odd}).status == 202
    assert (
        call(world.replica, "POST", "/v2/bob/app/blobs/uploads/", {"Authorization": odd}).status
        == 403
    )
    assert call(world.replica, "POST", target).status == 401
    seen = world.upstream.requests("POST")
    assert [one.fields.all("Authorization") for one in seen] == [[odd], [odd]]
