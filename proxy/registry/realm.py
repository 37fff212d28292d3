"""The primary's way of authenticating: its challenge, and its token service.

The challenge is asked for once, kept in the sidecar and renewed now and then, so that a client
without credentials can be challenged in an outage too. A token service on another origin is
spoken to only if the settings name that origin; one on the shared domain is reached over the
private link, since the shared domain leads to ourselves.
"""

import json
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from proxy.net.link import PrivateLink
from proxy.net.origins import Origin, TrustedOrigins
from proxy.net.session import Answer, Outgoing, Session
from proxy.oci.challenge import OPEN, Challenge, Scheme, Scope, parse_challenges
from proxy.oci.errors import BadGateway, Unauthorized, Unavailable
from proxy.registry.clock import Clock
from proxy.registry.credentials import Basic
from proxy.registry.expiring import ExpiringCache
from proxy.registry.sidecar import Sidecar
from proxy.registry.single_flight import SingleFlight

MAX_TOKEN_ANSWER_BYTES = 256 << 10
MAX_UPSTREAM_TOKENS = 100_000
CHALLENGE_SECONDS = 300.0
DEFAULT_TOKEN_SECONDS = 60
TOKEN_MARGIN_SECONDS = 10
_FACT = "challenge"


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """A token service's answer, to be passed on as it is."""

    status: int
    content_type: str
    body: bytes


class Realm:
    """The challenge, and tokens of the primary for credentials.

    *own_hosts* are the host names under which clients know us.
    """

    def __init__(
        self,
        link: PrivateLink,
        session: Session,
        trusted: TrustedOrigins,
        own_hosts: frozenset[str],
        sidecar: Sidecar,
        clock: Clock,
    ) -> None:
        self._link = link
        self._session = session
        self._trusted = trusted
        self._own_hosts = own_hosts | {link.origin.host}
        self._sidecar = sidecar
        self._clock = clock
        self._challenge: Challenge | None = None
        self._asked_at = float("-inf")
        self._flights: SingleFlight[str, Challenge] = SingleFlight()
        self._tokens = ExpiringCache(MAX_UPSTREAM_TOKENS)

    # --- the challenge --------------------------------------------------------------------------

    async def challenge(self) -> Challenge:
        """Give the primary's challenge: the remembered one where there is one.

        Raises: Unavailable: it was never seen and the primary can't be reached.
        """
        if self._challenge is None:
            self._challenge = _from_json(await self._sidecar.fact(_FACT))
        if self._challenge is None:
            return await self._flights.run(_FACT, self._ask_challenge)
        if self._clock.now() - self._asked_at > CHALLENGE_SECONDS:
            self._asked_at = self._clock.now()
            self._flights.start_behind(_FACT, self._ask_challenge)
        return self._challenge

    def known_challenge(self) -> Challenge | None:
        """Give the challenge if it is in memory, without asking anybody."""
        return self._challenge

    async def _ask_challenge(self) -> Challenge:
        answer = await self._link.request("GET", "/v2/", {})
        await answer.drop()
        if answer.status >= 500 or answer.status == 429:
            raise Unavailable
        found = challenge_of(answer) if answer.status == 401 else OPEN
        if found is None:
            raise BadGateway("the primary's challenge can't be understood")
        self.learn(found)
        return found

    def learn(self, challenge: Challenge) -> None:
        """Remember a challenge of the primary."""
        self._asked_at = self._clock.now()
        if challenge != self._challenge:
            self._challenge = challenge
            self._sidecar.put_fact(_FACT, _to_json(challenge))

    def is_shared(self, challenge: Challenge) -> bool:
        """Say whether the token service is on the domain that leads to us."""
        return (urlsplit(challenge.realm).hostname or "") in self._own_hosts

    # --- tokens ---------------------------------------------------------------------------------

    async def pull_token(self, key: object, credential: Basic | None, scope: Scope) -> str:
        """Give a token of the primary for one scope; kept under (*key*, scope) until it ends.

        Raises: Unauthorized: the credential isn't accepted. Unavailable. UntrustedOrigin.
        """
        cached: str | None = await self._tokens.get((key, str(scope)))
        if cached is not None:
            return cached
        return await self.fresh_pull_token(key, credential, scope)

    async def fresh_pull_token(self, key: object, credential: Basic | None, scope: Scope) -> str:
        """As `pull_token`, from the token service in any case."""
        challenge = await self.challenge()
        query = urlencode({"service": challenge.service, "scope": str(scope)})
        answer = await self.relay("GET", query, b"", credential.header if credential else "")
        _raise_for_token(answer)
        token, seconds = _token_in(answer.body)
        if seconds > TOKEN_MARGIN_SECONDS:
            await self._tokens.set((key, str(scope)), token, ttl=seconds - TOKEN_MARGIN_SECONDS)
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
        return TokenAnswer(answer.status, answer.header("Content-Type"), body)

    async def _ask_realm(
        self, challenge: Challenge, method: str, query: str, form: bytes, headers: dict[str, str]
    ) -> Answer:
        parts = urlsplit(challenge.realm)
        queries = "&".join(filter(None, (parts.query, query)))
        target = (parts.path or "/") + (f"?{queries}" if queries else "")
        body = form or None
        if self.is_shared(challenge):
            return await self._link.request(method, target, headers, body=body)
        origin = self._trusted.check(challenge.realm)
        return await self._session.send(origin, Outgoing(method, target, headers, body))

    async def close(self) -> None:
        """End what is running."""
        await self._flights.close()


def challenge_of(answer: Answer) -> Challenge | None:
    """Give the challenge of a 401: Bearer before Basic, as clients choose; None without one."""
    found = parse_challenges(answer.headers.getall("WWW-Authenticate", ()))
    for scheme in (Scheme.BEARER, Scheme.BASIC):
        for challenge in found:
            if challenge.scheme is scheme:
                return challenge
    return None


def origin_of_realm(challenge: Challenge) -> Origin | None:
    """Give the origin that a challenge leads to, for checks of the settings."""
    try:
        return Origin.of(challenge.realm)
    except ValueError:
        return None


def _raise_for_token(answer: TokenAnswer) -> None:
    if answer.status in (400, 401, 403):
        raise Unauthorized
    if answer.status == 429:
        raise Unavailable("the primary's token service asks for less")
    if answer.status != 200:
        raise BadGateway("the primary's token service gave no token")


def _token_in(body: bytes) -> tuple[str, int]:
    try:
        document = json.loads(body)
        token = document.get("token") or document["access_token"]
        seconds = int(document.get("expires_in", DEFAULT_TOKEN_SECONDS))
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise BadGateway("the primary's token service gave no token") from exc
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise BadGateway("the primary's token service gave no token")
    return token, max(seconds, DEFAULT_TOKEN_SECONDS)


def _to_json(challenge: Challenge) -> str:
    return json.dumps([challenge.scheme, challenge.realm, challenge.service])


def _from_json(text: str | None) -> Challenge | None:
    if text is None:
        return None
    try:
        scheme, realm, service = json.loads(text)
        return Challenge(Scheme(scheme), str(realm), str(service))
    except ValueError:
        return None
