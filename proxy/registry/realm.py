"""The primary's way of authenticating: its challenge, and its token service.

The challenge is asked for once, kept in the sidecar and renewed now and then, so that a client
without credentials can be challenged in an outage too. Where /v2/ is open a repository may still
challenge: that challenge is kept beside it, and tells how credentials are to be presented.

A token service on another origin is spoken to only if the settings name that origin; one on the
shared domain is reached over the private link, since the shared domain leads to ourselves.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from proxy.net.link import PrivateLink
from proxy.net.session import Answer, Outgoing, Session
from proxy.oci.challenge import OPEN, Challenge, Scheme, Scope, parse_challenges
from proxy.oci.errors import (
    BadGateway,
    Denied,
    LoopDetected,
    RegistryError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from proxy.registry.answers import retry_after
from proxy.registry.clock import Clock
from proxy.registry.credentials import Basic
from proxy.registry.expiring import ExpiringCache
from proxy.registry.realm_origins import RealmOrigins
from proxy.registry.sidecar import Sidecar
from proxy.registry.single_flight import SingleFlight

MAX_TOKEN_ANSWER_BYTES = 256 << 10
MAX_UPSTREAM_TOKENS = 100_000
CHALLENGE_SECONDS = 300.0
RECONSIDER_SECONDS = 10.0
DEFAULT_TOKEN_SECONDS = 60
MAX_TOKEN_SECONDS = 3600
TOKEN_MARGIN_SECONDS = 10
_DOOR, _INSIDE = "challenge", "challenge_inside"


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """A token service's answer, to be passed on as it is."""

    status: int
    content_type: str
    body: bytes
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamToken:
    """A token of the primary; `asked_at` is since when the credential behind it is known good."""

    text: str
    asked_at: float


@dataclass(frozen=True, slots=True)
class TokenWish:
    """Whose token is wanted, for what. `key` names the caller in memory."""

    key: object
    credential: Basic | None
    scope: Scope


class Realm:
    """The challenge, and tokens of the primary for credentials."""

    def __init__(
        self,
        link: PrivateLink,
        session: Session,
        origins: RealmOrigins,
        sidecar: Sidecar,
        clock: Clock,
    ) -> None:
        self._link = link
        self._session = session
        self._origins = origins
        self._sidecar = sidecar
        self._clock = clock
        self._door: Challenge | None = None
        self._inside: Challenge | None = None
        self._asked_at = float("-inf")
        self._reconsidered_at = float("-inf")
        self._questions: SingleFlight[str, Challenge] = SingleFlight()
        self._fetches: SingleFlight[tuple[object, Scope], UpstreamToken] = SingleFlight()
        self._tokens = ExpiringCache(MAX_UPSTREAM_TOKENS)

    # --- the challenge --------------------------------------------------------------------------

    async def challenge(self) -> Challenge:
        """Give how the primary authenticates: as it is remembered, where it is.

        Raises: Unavailable: it was never seen and the primary can't be reached.
        """
        if self._door is None:
            await self._remember()
        if self._door is None:
            await self._questions.run(_DOOR, self._ask_challenge)
        elif self._clock.now() - self._asked_at > CHALLENGE_SECONDS:
            self._asked_at = self._clock.now()
            self._questions.start_behind(_DOOR, self._ask_challenge)
        return self.known_challenge() or OPEN

    def known_challenge(self) -> Challenge | None:
        """Give the challenge if it is in memory, without asking anybody."""
        return self._inside if self.is_open and self._inside is not None else self._door

    @property
    def is_open(self) -> bool:
        """Say whether /v2/ is known to let in whoever presents nothing."""
        return self._door == OPEN

    async def _remember(self) -> None:
        door = _from_json(await self._sidecar.fact(_DOOR))
        inside = _from_json(await self._sidecar.fact(_INSIDE))
        if self._door is None:
            self._door, self._inside = door, inside

    async def _ask_challenge(self) -> Challenge:
        answer = await self._link.request("GET", "/v2/", {})
        await answer.drop()
        if answer.status == 508:
            raise LoopDetected
        if answer.status != 401 and answer.status >= 400:
            raise Unavailable("the primary's /v2/ is not answered as a registry does")
        found = challenge_of(answer) if answer.status == 401 else OPEN
        if found is None:
            raise BadGateway("the primary's challenge can't be understood")
        self._set_door(found)
        return found

    def _set_door(self, challenge: Challenge) -> None:
        self._asked_at = self._clock.now()
        if challenge != self._door:
            self._door, self._inside = challenge, None
            self._sidecar.put_fact(_DOOR, _to_json(challenge))
            self._sidecar.put_fact(_INSIDE, "")

    async def learn(self, challenge: Challenge) -> None:
        """Take in a challenge that the primary gave for a repository.

        One that isn't known lets /v2/ be asked again, at most once in a few seconds: its word
        counts. Where that is open, the repository's challenge is remembered beside it.
        """
        if challenge == self.known_challenge():
            return
        if self._clock.now() - self._reconsidered_at >= RECONSIDER_SECONDS:
            self._reconsidered_at = self._clock.now()
            with suppress(RegistryError):
                await self._questions.run(_DOOR, self._ask_challenge)
        if self.is_open and challenge != self._inside:
            self._inside = challenge
            self._sidecar.put_fact(_INSIDE, _to_json(challenge))

    def is_shared(self, challenge: Challenge) -> bool:
        """Say whether the token service is on the domain that leads to us."""
        return self._origins.is_shared(challenge.realm)

    # --- tokens ---------------------------------------------------------------------------------

    async def pull_token(
        self, wish: TokenWish, *, asked_after: float = float("-inf"), other_than: str = ""
    ) -> UpstreamToken:
        """Give a token of the primary: one from memory if it was asked for late enough, and isn't
        the one that was just refused.

        Raises: Unauthorized: the login isn't accepted. Denied: it is, not for this scope.
        Unavailable. UntrustedOrigin.
        """
        key = (wish.key, wish.scope)
        kept: UpstreamToken | None = await self._tokens.get(key)
        if kept is not None and kept.asked_at > asked_after and kept.text != other_than:
            return kept
        return await self._fetches.run(key, lambda: self._fetch_token(wish))

    async def _fetch_token(self, wish: TokenWish) -> UpstreamToken:
        asked_at = self._clock.now()
        challenge = await self.challenge()
        query = urlencode({"service": challenge.service, "scope": str(wish.scope)})
        header = wish.credential.header if wish.credential else ""
        answer = await self.relay("GET", query, b"", header)
        _raise_for_token(answer)
        text, seconds = _token_in(answer.body)
        token = UpstreamToken(text, asked_at)
        await self._tokens.set((wish.key, wish.scope), token, ttl=seconds - TOKEN_MARGIN_SECONDS)
        return token

    async def relay(self, method: str, query: str, form: bytes, authorization: str) -> TokenAnswer:
        """Pass a token request on as it came and give the answer as it comes.

        Raises: Unavailable: no answer. UntrustedOrigin: the realm is not one of the settings'.
        """
        challenge = await self.challenge()
        if challenge.scheme is not Scheme.BEARER:
            raise BadGateway("the primary has no token service")
        headers = {"Accept": "application/json"}
        if authorization:
            headers["Authorization"] = authorization
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = await self._ask_realm(challenge, method, query, form, headers)
        if answer.status in (500, 502, 503, 504):
            await answer.drop()
            raise Unavailable("the primary's token service is not answering")
        body = await answer.read(MAX_TOKEN_ANSWER_BYTES)
        kind, wait = answer.header("Content-Type"), answer.header("Retry-After")
        return TokenAnswer(answer.status, kind, body, wait)

    async def _ask_realm(
        self, challenge: Challenge, method: str, query: str, form: bytes, headers: dict[str, str]
    ) -> Answer:
        parts = urlsplit(challenge.realm)
        queries = "&".join(filter(None, (parts.query, query)))
        target = (parts.path or "/") + (f"?{queries}" if queries else "")
        body = form or None
        origin = self._origins.place(challenge.realm)
        if origin is None:
            return await self._link.request(method, target, headers, body=body)
        return await self._session.send(origin, Outgoing(method, target, headers, body))

    async def close(self) -> None:
        """End what is running."""
        await self._questions.close()
        await self._fetches.close()


def challenge_of(answer: Answer) -> Challenge | None:
    """Give the challenge of a 401: Bearer before Basic, as clients choose; None without one."""
    found = parse_challenges(answer.headers.getall("WWW-Authenticate", ()))
    for scheme in (Scheme.BEARER, Scheme.BASIC):
        for challenge in found:
            if challenge.scheme is scheme:
                return challenge
    return None


def _raise_for_token(answer: TokenAnswer) -> None:
    """Tell a login that isn't accepted (401) from a scope that isn't given (400, 403)."""
    if answer.status == 401:
        raise Unauthorized
    if answer.status in (400, 403):
        raise Denied
    if answer.status == 429:
        raise TooManyRequests(retry_after_seconds=retry_after(answer.retry_after))
    if answer.status != 200:
        raise BadGateway("the primary's token service gave no token")


def _token_in(body: bytes) -> tuple[str, int]:
    try:
        document = json.loads(body)
        token = document.get("token") or document["access_token"]
        seconds = int(document.get("expires_in", DEFAULT_TOKEN_SECONDS))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as exc:
        raise BadGateway("the primary's token service gave no token") from exc
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise BadGateway("the primary's token service gave no token")
    return token, min(max(seconds, DEFAULT_TOKEN_SECONDS), MAX_TOKEN_SECONDS)


def _to_json(challenge: Challenge) -> str:
    return json.dumps([challenge.scheme, challenge.realm, challenge.service])


def _from_json(text: str | None) -> Challenge | None:
    if text is None:
        return None
    try:
        scheme, realm, service = json.loads(text)
        return Challenge(Scheme(scheme), str(realm), str(service))
    except (ValueError, TypeError):
        return None
