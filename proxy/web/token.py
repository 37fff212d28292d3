"""The token endpoint: this region's issuer of pull tokens.

A scope that only pulls gets our own short token once the primary's token service accepted the
login. Whatever else is asked (push, delete, refresh tokens, `docker login` without a scope,
scopes we don't know) goes to the primary's token service as it came, and its answer comes back
as it is. Our own tokens are good for pulls alone: they neither buy others nor go upstream.

Source: the distribution project's token specifications.
"""

import json
from datetime import UTC, datetime

from aiohttp import web

from proxy.oci.caller import Caller
from proxy.oci.challenge import Challenge, Scheme, Scope, basic_header
from proxy.oci.errors import NameInvalid, NotServedHere, Unauthorized, Unavailable
from proxy.oci.reference import Repository
from proxy.oci.request import Action
from proxy.registry.access import Logins
from proxy.registry.callers import KnownCallers
from proxy.registry.decisions import Standing
from proxy.registry.issuer import LEEWAY_SECONDS, IssuedToken, Issuer
from proxy.registry.realm import Realm
from proxy.registry.token_service import TokenAnswer, TokenService, TokenWish
from proxy.telemetry.labels import Kind, Origin
from proxy.web.exchange import Exchange, Subject
from proxy.web.respond import BASE_HEADERS, json_response, outcome_of_status
from proxy.web.token_request import TokenRequest, read_token_request

_TOKEN_HEADERS = {**BASE_HEADERS, "Cache-Control": "no-store"}


class TokenRoute:
    """Answers GET and POST of the token endpoint."""

    def __init__(
        self,
        realm: Realm,
        service: TokenService,
        known: KnownCallers,
        logins: Logins,
        issuer: Issuer,
    ) -> None:
        self._realm = realm
        self._service = service
        self._known = known
        self._logins = logins
        self._issuer = issuer

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        """Answer one token request.

        Raises: Unauthorized: the login isn't accepted. Denied: it is, not for this scope.
        Unavailable: it can't be checked.
        """
        exchange.event = "token.answered"
        exchange.subject = Subject(Kind.TOKEN)
        challenge = await self._realm.challenge()
        if challenge.scheme is not Scheme.BEARER:
            raise NotServedHere
        asked = await read_token_request(exchange.request)
        if any(map(self._issuer.is_ours, asked.tokens)):
            raise Unauthorized("a pull token buys no other token", error="invalid_token")
        if asked.is_ours_to_answer:
            exchange.origin = Origin.STORE
            return await self._issue(challenge, asked, asked.scopes or ())
        exchange.origin = Origin.PRIMARY
        return await self._relay(exchange, challenge, asked)

    # --- our own ----------------------------------------------------------------------------------

    async def _issue(
        self, challenge: Challenge, asked: TokenRequest, scopes: tuple[Scope, ...]
    ) -> web.Response:
        caller = self._known.keeper.caller(asked.credential)
        wish = TokenWish(caller, asked.credential, scopes[0])
        await self._logins.require(
            caller, lambda: self._service.pull_token(wish, asked_after=self._known.logins.now())
        )
        allowed = tuple(scope for scope in scopes if not self._is_refused(caller, scope))
        return self._issued(caller, challenge, allowed)

    def _is_refused(self, caller: Caller, scope: Scope) -> bool:
        """Say whether the primary just refused this caller what a scope asks for."""
        try:
            right = (caller, Repository.parse(scope.name), Action.PULL)
        except NameInvalid:
            return True
        return self._known.rights.standing(right) is Standing.REFUSED

    def _issued(
        self, caller: Caller, challenge: Challenge, scopes: tuple[Scope, ...]
    ) -> web.Response:
        issued = self._issuer.issue(caller, challenge.service, scopes)
        self._known.keeper.hold_for(caller, issued.lifetime_seconds + LEEWAY_SECONDS)
        response = json_response(_token_document(issued, scopes))
        response.headers.update(_TOKEN_HEADERS)
        return response

    # --- the primary's ----------------------------------------------------------------------------

    async def _relay(
        self, exchange: Exchange, challenge: Challenge, asked: TokenRequest
    ) -> web.Response:
        request = exchange.request
        authorization = request.headers.get("Authorization", "")
        try:
            answer = await self._service.relay(
                request.method, asked.raw_query, asked.form, authorization
            )
        except Unavailable:
            return self._login_in_outage(challenge, asked)
        if answer.status == 200 and asked.credential is not None:
            self._logins.note_accepted(self._known.keeper.caller(asked.credential))
        exchange.outcome = outcome_of_status(answer.status)
        return _relayed(answer, challenge)

    def _login_in_outage(self, challenge: Challenge, asked: TokenRequest) -> web.Response:
        """Accept a plain login (no scope) that was accepted before; it grants nothing by itself.

        Raises: Unavailable: whatever else it is.
        """
        caller = self._known.keeper.caller(asked.credential)
        is_plain_login = asked.is_plain and asked.scopes == ()
        if not is_plain_login or asked.credential is None or not self._logins.was_accepted(caller):
            raise Unavailable("the primary's token service can't be reached")
        return self._issued(caller, challenge, ())


def _token_document(issued: IssuedToken, scopes: tuple[Scope, ...]) -> bytes:
    issued_at = datetime.fromtimestamp(issued.issued_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "token": issued.text,
        "access_token": issued.text,
        "expires_in": issued.lifetime_seconds,
        "issued_at": issued_at,
        "scope": " ".join(map(str, scopes)),
    }
    return json.dumps(document).encode()


def _relayed(answer: TokenAnswer, challenge: Challenge) -> web.Response:
    """Give a token service's answer as it came; whoever is refused learns how to log in there."""
    media_type = answer.content_type.partition(";")[0].strip()
    is_json = media_type == "application/json"
    headers = {**_TOKEN_HEADERS, "Content-Type": answer.content_type if is_json else "text/plain"}
    if answer.retry_after:
        headers["Retry-After"] = answer.retry_after
    if answer.status == 401:
        headers["WWW-Authenticate"] = basic_header(challenge.service)
    return web.Response(status=answer.status, body=answer.body, headers=headers)
