"""Credentials as clients present them, and the callers they make.

A credential is held in memory only, for a while after its last use; a caller is its HMAC under
a key that dies with the process.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.oci.caller import ANONYMOUS, Caller
from proxy.oci.errors import BadRequest
from proxy.registry.bounded import BoundedMap

MAX_AUTHORIZATION_CHARACTERS = 16_384
MAX_HELD = 100_000


@dataclass(frozen=True, slots=True)
class Basic:
    """A user name and a password."""

    username: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """What an Authorization header carries."""
        pair = f"{self.username}:{self.password}".encode("utf-8", "surrogateescape")
        return "Basic " + base64.b64encode(pair).decode()


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token that somebody issued: us or the primary."""

    token: str = field(repr=False)

    @property
    def header(self) -> str:
        """What an Authorization header carries."""
        return f"Bearer {self.token}"


Credential = Basic | Bearer


def parse_authorization(header: str) -> Credential | None:
    """Read an Authorization header; None if there is none.

    Raises: BadRequest: another scheme, or not of the scheme's form.
    """
    if not header:
        return None
    scheme, _, rest = header.partition(" ")
    rest = rest.strip()
    if len(header) > MAX_AUTHORIZATION_CHARACTERS or not rest.isascii() or not rest:
        raise BadRequest("the Authorization header can't be read")
    match scheme.lower():
        case "basic":
            return _basic(rest)
        case "bearer":
            return Bearer(rest)
        case _:
            raise BadRequest("only Basic and Bearer authorization are understood")


def _basic(encoded: str) -> Basic:
    try:
        pair = base64.b64decode(encoded, validate=True).decode("utf-8", "surrogateescape")
    except binascii.Error as exc:
        raise BadRequest("the Basic credentials can't be read") from exc
    username, colon, password = pair.partition(":")
    if not colon or any(ord(character) < 32 for character in pair):
        raise BadRequest("the Basic credentials can't be read")
    return Basic(username, password)


@dataclass(slots=True)
class _Held:
    credential: Credential
    used_at: float
    promised_until: float = float("-inf")


class CredentialKeeper:
    """Who is who: callers made from credentials, and the credentials while they are in use.

    A credential is in use while requests present it or need it, and while a token of ours that
    names its caller is valid: the client need not come back with it before that ends.
    """

    def __init__(self, keep_seconds: float, clock: Callable[[], float]) -> None:
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._held: BoundedMap[Caller, _Held] = BoundedMap(MAX_HELD)
        self._own: dict[Caller, Credential] = {}

    def keep_for(self, seconds: float) -> None:
        """Let credentials be held for so long after their last use."""
        self._keep_seconds = seconds

    def fingerprint(self, text: str) -> bytes:
        """Give the HMAC of something secret, to look it up by."""
        return hmac.digest(self._key, text.encode("utf-8", "surrogateescape"), hashlib.sha256)

    def caller(self, credential: Credential | None) -> Caller:
        """Give the caller that a credential makes; hold the credential for fills."""
        if credential is None:
            return ANONYMOUS
        caller = Caller(self.fingerprint(credential.header).hex())
        if self.credential(caller) is None:
            self._held.put(caller, _Held(credential, self._clock()))
        return caller

    def credential(self, caller: Caller) -> Credential | None:
        """Give a caller's credential if it was used lately; this counts as a use."""
        held = self._held.get(caller)
        if held is None:
            return self._own.get(caller)
        if self._is_over(held):
            self._held.drop(caller)
            return None
        held.used_at = self._clock()
        return held.credential

    def hold_for(self, caller: Caller, seconds: float) -> None:
        """Hold a credential for so long, used or not: a token that names its caller goes out."""
        held = self._held.get(caller)
        if held is not None:
            held.promised_until = max(held.promised_until, self._clock() + seconds)

    def hold_own(self, caller: Caller, credential: Credential) -> None:
        """Hold a credential of ours for as long as this process lives."""
        self._own[caller] = credential

    def forget(self, caller: Caller) -> None:
        """Drop a credential that was refused."""
        self._held.drop(caller)

    def forget_unused(self) -> None:
        """Drop what isn't in use any more; to be called now and then. This looks at all."""
        over = {caller for caller, held in self._held.items() if self._is_over(held)}
        self._held.drop_where(over.__contains__)

    def _is_over(self, held: _Held) -> bool:
        return self._clock() > max(held.used_at + self._keep_seconds, held.promised_until)

    def __len__(self) -> int:
        return len(self._held)
