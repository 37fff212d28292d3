"""The pull tokens of this region: short JWTs that name an identity and the scopes asked for.

A token proves nothing but who asked for what: whether that caller may pull is looked up at every
pull (`Decisions`), so a right that ends doesn't wait for `exp`.

Each replica signs with an Ed25519 key of its own, made at first start. What PyJWT would let pass
is checked here: integer times, a short life, our own type, nothing of the header but `kid`.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from proxy.oci.caller import Caller
from proxy.oci.challenge import Scope
from proxy.oci.errors import BadRequest, Unauthorized
from proxy.registry import durable

LEEWAY_SECONDS = 60
MAX_TOKEN_CHARACTERS = 8000  # a header line of more than 8190 is refused by aiohttp
TYPE = "proxima-pull+jwt"
_ALGORITHM = "EdDSA"
_HEADER_FIELDS = frozenset({"alg", "typ", "kid"})
_CLAIMS = frozenset({"iss", "aud", "sub", "iat", "exp", "access"})
_NAMELESS = "proxima"  # the audience where the primary's challenge names no service


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token says."""

    caller: Caller
    scopes: frozenset[Scope]
    expires_at: int


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token and its life in seconds."""

    text: str
    issued_at: int
    lifetime_seconds: int


class Issuer:
    """Issues and reads our own tokens. *audience* is the registry's service name."""

    def __init__(
        self,
        key: Ed25519PrivateKey,
        lifetime_seconds: int,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._key = key
        self._public = key.public_key()
        self._lifetime = lifetime_seconds
        self._wall = wall
        self.key_id = _key_id(key)

    def issue(self, caller: Caller, audience: str, scopes: Iterable[Scope]) -> IssuedToken:
        """Give a token for a caller whose login was accepted.

        Raises: BadRequest: a token for all these scopes would be too long to be presented.
        """
        now = int(self._wall())
        access = [
            {"type": scope.kind, "name": scope.name, "actions": sorted(scope.actions)}
            for scope in scopes
        ]
        claims = {
            "iss": self.key_id,
            "aud": audience or _NAMELESS,
            "sub": caller.key,
            "iat": now,
            "exp": now + self._lifetime,
            "access": access,
        }
        headers = {"typ": TYPE, "kid": self.key_id}
        text = jwt.encode(claims, self._key, algorithm=_ALGORITHM, headers=headers)
        if len(text) > MAX_TOKEN_CHARACTERS:
            raise BadRequest("a token for so many scopes would be too long")
        return IssuedToken(text, now, self._lifetime)

    def is_ours(self, token: str) -> bool:
        """Say whether a token claims to be one of a replica's; nothing of it is believed yet."""
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, RecursionError):
            return False
        return header.get("typ") == TYPE

    def read(self, token: str, audience: str) -> Claims:
        """Give what a token says.

        Raises: Unauthorized: signature, times, type or form aren't right, or another replica
        signed it: the client fetches a new one.
        """
        try:
            return self._read(token, audience)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, RecursionError) as exc:
            raise Unauthorized("the token is not valid here", error="invalid_token") from exc

    def _read(self, token: str, audience: str) -> Claims:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise ValueError("the token is too long")
        header = jwt.get_unverified_header(token)
        if set(header) != _HEADER_FIELDS or header["typ"] != TYPE or header["kid"] != self.key_id:
            raise ValueError("the token's header is not one of ours")
        claims = jwt.decode(
            token,
            self._public,
            algorithms=[_ALGORITHM],
            audience=audience or _NAMELESS,
            issuer=self.key_id,
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
        if set(claims) != _CLAIMS or not isinstance(claims["aud"], str):
            raise ValueError("the token's claims are not those that we write")
        issued_at, expires_at = _integer(claims["iat"]), _integer(claims["exp"])
        now = self._wall()
        if not issued_at - LEEWAY_SECONDS <= now <= expires_at + LEEWAY_SECONDS:
            raise ValueError("the token is not valid now")
        if expires_at - issued_at > self._lifetime:
            raise ValueError("the token lives too long")
        scopes = frozenset(_scope(entry) for entry in claims["access"])
        return Claims(Caller(_text(claims["sub"])), scopes, expires_at + LEEWAY_SECONDS)


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("a time in the token is not an integer")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a name in the token is not text")
    return value


def _scope(entry: Mapping[str, Any]) -> Scope:
    if set(entry) != {"type", "name", "actions"}:
        raise ValueError("the token's access is not of the form we write")
    return Scope(
        _text(entry["type"]), _text(entry["name"]), frozenset(map(_text, entry["actions"]))
    )


def _key_id(key: Ed25519PrivateKey) -> str:
    public = key.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public)
    return digest.finalize().hex()[:32]


def load_or_make_key(path: Path, spool: Path) -> Ed25519PrivateKey:
    """Read the signing key, or make one (mode 0600) where there is none. Blocks.

    Raises: OSError. ValueError: the file is no Ed25519 key.
    """
    if not path.exists():
        made = Ed25519PrivateKey.generate()
        pem = made.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        durable.write_file(path, pem, spool, mode=0o600)
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} is no Ed25519 private key")  # the file's fault
    return key
