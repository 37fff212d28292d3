"""C14: our own tokens are read to the letter, and nothing of them before their signature."""

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from proxy.oci.caller import ANONYMOUS, Caller
from proxy.oci.challenge import Scope
from proxy.oci.errors import BadRequest, Unauthorized
from proxy.registry.issuer import TYPE, Issuer

SERVICE = "registry.of.the.tests"
LIFETIME = 300
NOW = 1_800_000_000
CALLER = Caller("ab" * 32)
PULL = Scope("repository", "team/app", frozenset({"pull"}))


class Wall:
    """The time of day, as the test sets it."""

    def __init__(self):
        self.seconds = float(NOW)

    def __call__(self):
        return self.seconds


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture
def key():
    return Ed25519PrivateKey.generate()


@pytest.fixture
def issuer(key, wall):
    return Issuer(key, LIFETIME, wall)


def part(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(key, header, claims):
    """Sign whatever is given as a JWT would be."""
    text = part(header) + b"." + part(claims)
    return (text + b"." + part(key.sign(text))).decode()


def header_of(issuer, **changes):
    header = {"alg": "EdDSA", "kid": issuer.key_id, "typ": TYPE, **changes}
    return {name: value for name, value in header.items() if value is not None}


def claims_of(issuer, **changes):
    access = [{"type": "repository", "name": "team/app", "actions": ["pull"]}]
    claims = {
        "iss": issuer.key_id,
        "aud": SERVICE,
        "sub": CALLER.key,
        "iat": NOW,
        "exp": NOW + LIFETIME,
        "access": access,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def assert_refused(issuer, token):
    with pytest.raises(Unauthorized) as found:
        issuer.read(token, SERVICE)
    assert found.value.error == "invalid_token"


def test_what_we_issue_we_read(issuer):
    """A token gives back the caller and the scopes that it was issued for."""
    issued = issuer.issue(CALLER, SERVICE, [PULL])
    claims = issuer.read(issued.text, SERVICE)
    assert issuer.is_ours(issued.text)
    assert (claims.caller, claims.scopes) == (CALLER, {PULL})
    assert issued.lifetime_seconds == LIFETIME
    # the hand-made ones below differ from it in one thing each
    assert issuer.read(signed(issuer._key, header_of(issuer), claims_of(issuer)), SERVICE) == claims
    nobody = issuer.issue(ANONYMOUS, "", []).text
    assert issuer.read(nobody, "").caller == ANONYMOUS


HEADERS = {
    "another algorithm's name": {"alg": "ES256"},
    "no algorithm": {"alg": None},
    "an empty algorithm": {"alg": ""},
    "another key's name": {"kid": "0" * 32},
    "no key's name": {"kid": None},
    "a number for the key's name": {"kid": 7},
    "another type": {"typ": "JWT"},
    "no type": {"typ": None},
    "an embedded key": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}},
    "a place to fetch keys": {"jku": "http://evil.test/keys"},
    "a certificate": {"x5c": ["AAAA"]},
    "a place to fetch certificates": {"x5u": "http://evil.test/cert"},
    "an unknown critical extension": {"crit": ["exp"]},
    "a known critical extension": {"crit": ["b64"], "b64": True},
    "a surplus field": {"cty": "JWT"},
}


@pytest.mark.parametrize("changes", HEADERS.values(), ids=HEADERS)
def test_a_header_is_ours_to_the_letter(changes, issuer, key):
    """C14: whatever a header says beside alg, typ and kid, and whatever else these say, is refused,
    though the signature is right.
    """
    assert_refused(issuer, signed(key, header_of(issuer, **changes), claims_of(issuer)))


CLAIMS = {
    "exp as text": {"exp": str(NOW + LIFETIME)},
    "exp as a float": {"exp": NOW + 100.0},
    "exp as a boolean": {"exp": True},
    "exp as nothing": {"exp": None},
    "exp as a list": {"exp": [NOW + LIFETIME]},
    "exp far away": {"exp": NOW + LIFETIME + 1},
    "exp beyond all numbers": {"exp": 10**400},
    "iat as text": {"iat": str(NOW)},
    "iat as a float": {"iat": float(NOW)},
    "iat as a boolean": {"iat": False},
    "no iat": {"iat": None},
    "iat long ago": {"iat": NOW - LIFETIME - 1, "exp": NOW + 1},
    "another audience": {"aud": "elsewhere"},
    "no audience": {"aud": None},
    "an empty audience": {"aud": ""},
    "several audiences": {"aud": [SERVICE, "elsewhere"]},
    "another issuer": {"iss": "0" * 32},
    "no issuer": {"iss": None},
    "no subject": {"sub": None},
    "a number for the subject": {"sub": 7},
    "no access": {"access": None},
    "access as text": {"access": "pull"},
    "access of another form": {"access": [{"type": "repository", "name": "team/app"}]},
    "access with more": {
        "access": [{"type": "repository", "name": "a", "actions": ["pull"], "class": "image"}]
    },
    "access to a number": {"access": [{"type": "repository", "name": 1, "actions": ["pull"]}]},
    "actions that are numbers": {"access": [{"type": "repository", "name": "a", "actions": [1]}]},
    "a surplus claim": {"admin": True},
    "not before": {"nbf": NOW},
}


@pytest.mark.parametrize("changes", CLAIMS.values(), ids=CLAIMS)
def test_claims_are_of_our_form_and_types(changes, issuer, key):
    """C14: times are integers, a life is short, names are text, nothing is missing or surplus."""
    assert_refused(issuer, signed(key, header_of(issuer), claims_of(issuer, **changes)))


def hmac_signed(issuer, key):
    public = key.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    return jwt.encode(
        claims_of(issuer), public, algorithm="HS256", headers=header_of(issuer, alg="HS256")
    )


def embedded(issuer):
    own = Ed25519PrivateKey.generate()
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(own.public_key()))
    return signed(own, header_of(issuer, jwk=jwk), claims_of(issuer))


def unsigned(issuer, signature):
    text = part(header_of(issuer)) + b"." + part(claims_of(issuer))
    return (text + b"." + part(signature)).decode()


def forged(issuer, key):
    """Give tokens that somebody without our key could make, and some that we'd never make."""
    attacker = Ed25519PrivateKey.generate()
    header, claims = header_of(issuer), claims_of(issuer)
    unsafe = header_of(issuer, alg="none")
    return {
        "no algorithm": jwt.encode(claims, None, algorithm="none", headers=unsafe),
        "the public key as a secret": hmac_signed(issuer, key),
        "the attacker's own key": signed(attacker, header, claims),
        "the attacker's key, embedded under our name": embedded(issuer),
        "no signature": unsigned(issuer, b""),
        "a signature of zeros": unsigned(issuer, bytes(64)),
        "claims that are no JSON": signed(key, header, b"{"),
        "claims that are a list": signed(key, header, []),
        "two parts": "a.b",
        "nothing": "",
        "a very long one": signed(key, header, claims_of(issuer, sub="x" * 9000)),
        "a header of brackets": f"{part(b'[' * 6000).decode()}.e30.AA",
        "claims of brackets": signed(key, header, b"[" * 5000),
    }


def test_forged_tokens_are_refused(issuer, key):
    """C14: none, HS256 with the public key, embedded keys, foreign and missing signatures."""
    tokens = forged(issuer, key)
    read = {name: _reads(issuer, token) for name, token in tokens.items()}
    assert not any(read.values()), read


def _reads(issuer, token):
    try:
        issuer.read(token, SERVICE)
    except Unauthorized:
        return False
    return True


def test_every_changed_character_is_noticed(issuer):
    """C14: no character of header, claims or signature can be another one."""
    text = issuer.issue(CALLER, SERVICE, [PULL]).text
    for position in range(0, len(text), 7):
        other = "B" if text[position] == "A" else "A"
        assert_refused(issuer, text[:position] + other + text[position + 1 :])


def test_no_claim_is_used_before_the_signature(issuer, key, monkeypatch):
    """C14: with a wrong signature the claims aren't even parsed."""
    parsed = []
    loads = json.loads

    def noted(text, *arguments, **options):
        parsed.append(text)
        return loads(text, *arguments, **options)

    monkeypatch.setattr("jwt.api_jwt.json.loads", noted)
    good = signed(key, header_of(issuer), claims_of(issuer))
    issuer.read(good, SERVICE)
    assert any(b"access" in each for each in parsed)
    parsed.clear()
    assert_refused(
        issuer, signed(Ed25519PrivateKey.generate(), header_of(issuer), claims_of(issuer))
    )
    assert not any(b"access" in each for each in parsed)


def test_another_replicas_token_is_not_ours_to_take(issuer, wall):
    """Settled 6: a token that another replica signed is refused: the client gets a new one."""
    other = Issuer(Ed25519PrivateKey.generate(), LIFETIME, wall)
    token = other.issue(CALLER, SERVICE, [PULL]).text
    assert issuer.is_ours(token)
    assert_refused(issuer, token)


@pytest.mark.parametrize(
    ("seconds", "is_good"),
    [
        (-61, False),
        (-60.001, False),
        (-60, True),
        (-30, True),
        (0, True),
        (LIFETIME, True),
        (LIFETIME + 59, True),
        (LIFETIME + 60, True),
        (LIFETIME + 60.001, False),
        (LIFETIME + 61, False),
        (3600, False),
        (-3600, False),
    ],
)
def test_clocks_may_differ_by_a_minute(seconds, is_good, issuer, wall):
    """C14, F13: sixty seconds of leeway on either side, exactly."""
    text = issuer.issue(CALLER, SERVICE, [PULL]).text
    wall.seconds = NOW + seconds
    if is_good:
        assert issuer.read(text, SERVICE).caller == CALLER
    else:
        assert_refused(issuer, text)


def test_a_token_that_nobody_could_present_is_not_issued(issuer):
    """A token is never longer than a header line may be."""
    scopes = [Scope("repository", "x" * 200 + str(number), PULL.actions) for number in range(40)]
    with pytest.raises(BadRequest):
        issuer.issue(CALLER, SERVICE, scopes)
