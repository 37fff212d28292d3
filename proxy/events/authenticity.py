"""Whether a notification comes from whom it should: a secret that is shown, or one that signs.

Shown in a header of its own, or in Authorization: as a bearer token, alone, or as the password of
Basic, whatever the user name. Or, so that the secret isn't sent:

    X-Proxima-Timestamp: 1700000000
    X-Proxima-Signature: sha256=<HMAC-SHA256 of "1700000000." and the body, in hex>

which counts for a while around that time, and once. Several secrets may count at a time, for a
rotation. Nothing here does I/O or reads a clock; all comparisons take the same time.
"""

import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

TIMESTAMP = "x-proxima-timestamp"
SIGNATURE = "x-proxima-signature"
MAX_SIGNATURES = 100_000

_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")

Headers = Sequence[tuple[str, str]]
"""Names and values, as they came."""


class NotAuthentic(Exception):
    """A notification doesn't prove whom it is from. The reason is for the log."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that is still to be checked against the body."""

    timestamp: str
    signature: str


class Authenticity:
    """The secrets that count, and how they may be presented."""

    def __init__(self, secrets: Iterable[str], header: str, window_seconds: float) -> None:
        self.trust(secrets)
        self._header = header.lower()
        self._window_seconds = window_seconds
        self._seen = _Seen(window_seconds)

    def trust(self, secrets: Iterable[str]) -> None:
        """Let these secrets count from now on, and no others."""
        self._secrets = tuple(secret.encode() for secret in secrets)

    def check_headers(self, headers: Headers, now: float) -> Signed | None:
        """Look at a request before its body; None: it is authentic, whatever the body says.

        now:    seconds since 1970.
        Raises: NotAuthentic. A request that is signed isn't looked at for a secret.
        """
        signature, timestamp = _only(headers, SIGNATURE), _only(headers, TIMESTAMP)
        if signature is not None or timestamp is not None:
            return self._signed(signature or "", timestamp or "", now)
        shown = _only(headers, self._header)
        if shown is None:
            shown = _secret_in(_only(headers, "authorization") or "")
        if not self._is_secret(shown.strip()):
            raise NotAuthentic("the secret is another one")
        return None

    def _signed(self, signature: str, timestamp: str, now: float) -> Signed:
        match = _SIGNATURE.fullmatch(signature)
        if match is None or _TIMESTAMP.fullmatch(timestamp) is None:
            raise NotAuthentic("signature or timestamp aren't of the form they should be")
        if abs(now - int(timestamp)) > self._window_seconds:
            raise NotAuthentic("it was signed too long ago, or a clock is wrong")
        return Signed(timestamp, match[1])

    def check_body(self, signed: Signed, body: bytes, now: float) -> None:
        """Look at a signature, and take it: it doesn't count again.

        Raises: NotAuthentic: it is of another body or secret, or was taken before.
        """
        text = signed.timestamp.encode() + b"." + body
        made = [hmac.new(secret, text, hashlib.sha256).hexdigest() for secret in self._secrets]
        found = [hmac.compare_digest(signed.signature, each) for each in made]
        if not any(found):
            raise NotAuthentic("the signature is of another body or secret")
        if not self._seen.take(signed.signature, now):
            raise NotAuthentic("it came before")

    def give_back(self, signed: Signed) -> None:
        """Let a signature count once more: what it was for couldn't be done."""
        self._seen.give_back(signed.signature)

    def _is_secret(self, shown: str) -> bool:
        given = hashlib.sha256(shown.encode("utf-8", "surrogateescape")).digest()
        found = [
            hmac.compare_digest(given, hashlib.sha256(each).digest()) for each in self._secrets
        ]
        return any(found)


def _secret_in(authorization: str) -> str:
    """Give the secret that an Authorization shows. Raises: NotAuthentic: it shows none."""
    scheme, _, value = authorization.strip().partition(" ")
    if scheme and not value:
        return scheme
    if scheme.lower() == "bearer":
        return value
    if scheme.lower() == "basic":
        with suppress(ValueError):
            decoded = base64.b64decode(value.strip(), validate=True).decode()
            return decoded.partition(":")[2]
    raise NotAuthentic("nothing proves whom it is from")


class _Seen:
    """Signatures taken, for twice the window: a clock that is ahead makes one count longer."""

    def __init__(self, window_seconds: float) -> None:
        self._keep_seconds = 2 * window_seconds
        self._until: OrderedDict[str, float] = OrderedDict()

    def take(self, signature: str, now: float) -> bool:
        """Take one; False: it was taken, or there are more than can be remembered."""
        while self._until and next(iter(self._until.values())) < now:
            self._until.popitem(last=False)
        if signature in self._until or len(self._until) >= MAX_SIGNATURES:
            return False
        self._until[signature] = now + self._keep_seconds
        return True

    def give_back(self, signature: str) -> None:
        self._until.pop(signature, None)


def _only(headers: Headers, name: str) -> str | None:
    """Give the value of a header; None without it. Raises: NotAuthentic: it is there twice."""
    values = [value for each, value in headers if each.lower() == name]
    if len(values) > 1:
        raise NotAuthentic(f"there are two {name} headers")
    return values[0] if values else None
