"""The primary's token service: tokens for credentials, and requests passed on as they came.

One on another origin is spoken to only if the settings name that origin; one on the shared domain
is reached over the private link, since the shared domain leads to ourselves.
"""

import json
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from proxy.net.link import PrivateLink
from proxy.net.session import Answer, Outgoing, Session
from proxy.oci.challenge import Challenge, Scheme, Scope
from proxy.oci.errors import BadGateway, Denied, TooManyRequests, Unauthorized, Unavailable
from proxy.registry.answers import retry_after
from proxy.registry.clock import Clock
from proxy.registry.credentials import Basic
from proxy.registry.expiring import ExpiringCache
from proxy.registry.realm import Realm
from proxy.registry.realm_origins import RealmOrigins
from proxy.registry.single_flight import SingleFlight

MAX_TOKEN_ANSWER_BYTES = 256 << 10
MAX_UPSTREAM_TOKENS = 100_000
DEFAULT_TOKEN_SECONDS = 60
MAX_TOKEN_SECONDS = 3600
TOKEN_MARGIN_SECONDS = 10


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


class TokenService:
    """Asks the token service that the primary's challenge names."""

    def __init__(
        self,
        realm: Realm,
        link: PrivateLink,
        session: Session,
        origins: RealmOrigins,
        clock: Clock,
    ) -> None:
        self._realm = realm
        self._link = link
        self._session = session
        self._origins = origins
        self._clock = clock
        self._fetches: SingleFlight[tuple[object, Scope], UpstreamToken] = SingleFlight()
        self._tokens = ExpiringCache(MAX_UPSTREAM_TOKENS)

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
        challenge = await self._realm.challenge()
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
        challenge = await self._realm.challenge()
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
        await self._fetches.close()


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
