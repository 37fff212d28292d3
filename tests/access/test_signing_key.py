"""Our own tokens in a replica: their end to the second, and the key that signs them."""

import os
import stat

import jwt
import pytest

from proxy.registry.issuer import load_or_make_key
from tests.access.worlds import ask_token, bearer, call

LIFETIME = 300


def test_the_leeway_holds_for_tokens_that_were_seen_before(token_world, alice):
    """C14: a token that is remembered ends to the second when an unknown one would."""
    world = token_world(access={"ttl": 3600.0})
    token = bearer(ask_token(world.replica, "repository:alice/app:pull", credentials=alice))
    fresh = bearer(ask_token(world.replica, "repository:alice/app:pull", credentials=alice))
    target, clock = world.layer("alice/app"), world.replica.clock
    clock.wall_seconds = float(int(clock.wall_seconds))
    issued_at = jwt.decode(token["Authorization"][7:], options={"verify_signature": False})["iat"]
    assert call(world.replica, "GET", target, token).status == 200
    clock.wall_seconds = issued_at + LIFETIME + 60
    assert call(world.replica, "GET", target, token).status == 200
    clock.wall_seconds = issued_at + LIFETIME + 60.5
    for each in (token, fresh):
        reply = call(world.replica, "GET", target, each)
        assert reply.status == 401
        assert 'error="invalid_token"' in reply.header("WWW-Authenticate")


def test_the_key_is_private_and_lasts(token_world):
    """Settled 6: the signing key is made at the first start, mode 0600, and stays."""
    world = token_world()
    path = world.replica.replica._chain.store.tree.layout.signing_key
    before = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    # nobody's token lasts over a restart as such: its bearer may pull what anybody may
    scope = "repository:public/app:pull"
    token = bearer(ask_token(world.replica, scope))
    assert call(world.replica, "GET", world.layer("public/app"), token).status == 200
    world.replica.restart()
    assert path.read_bytes() == before
    assert call(world.replica, "GET", world.layer("public/app"), token).status == 200


def test_a_key_that_is_none_stops_the_start(tmp_path):
    """A damaged key is an error with the file's name, never a new key that ends all tokens."""
    path = tmp_path / "key.pem"
    path.write_bytes(b"not a key")
    with pytest.raises(ValueError, match=r"(?i)key|pem"):
        load_or_make_key(path, tmp_path)
    made = tmp_path / "made.pem"
    mask = os.umask(0)
    try:
        key = load_or_make_key(made, tmp_path)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    again = load_or_make_key(made, tmp_path)
    assert again.private_bytes_raw() == key.private_bytes_raw()
