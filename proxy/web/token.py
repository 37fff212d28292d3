"""The token endpoint: this region's issuer of pull tokens.

A scope that only pulls gets our own short token once the primary's token service accepted the
login. Whatever else is asked (push, delete, refresh tokens, `docker login` without a scope,
scopes we don't know) goes to the primary's token service as it came, and its answer comes back
as it is. Our own tokens are good for pulls alone: they neither buy others nor go upstream.

Source: the distribution project's token specifications: GET with Basic, POST as in OAuth 2.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

from aiohttp import web

from proxy.oci.caller import Caller
from proxy.oci.challenge import Challenge, Scheme, Scope, basic_header
from proxy.oci.errors import (
    BadRequest,
    NameInvalid,
    NotServedHere,
    SizeInvalid,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from proxy.oci.reference import Repository
from proxy.oci.request import Action
from proxy.registry.access import Logins
from proxy.registry.callers import KnownCallers
from proxy.registry.credentials import Basic, Bearer, Credential, parse_authorization
from proxy.registry.decisions import Standing
from proxy.registry.issuer import LEEWAY_SECONDS, IssuedToken, Issuer
from proxy.registry.realm import Realm, TokenAnswer, TokenWish
from proxy.telemetry.labels import Kind, Origin
from proxy.web.body import ask_for_body
from proxy.web.exchange import Exchange, Subject
from proxy.web.respond import BASE_HEADERS, json_response, outcome_of_status

MAX_FORM_BYTES = 64 << 10
MAX_SCOPES = 32
MAX_SCOPE_CHARACTERS = 3000
FORM_SECONDS = 10.0
_FORM = "application/x-www-form-urlencoded"
_TOKEN_HEADERS = {**BASE_HEADERS, "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What is asked for, whichever way it came. Scopes are None if one of them isn't known.

    `is_plain` says that it asks as a user with a password, or as nobody, and not by other means.
    """

    credential: Basic | None
    scopes: tuple[Scope, ...] | None
    is_plain: bool
    wants_refresh_token: bool
    tokens: tuple[str, ...] = ()
    raw_query: str = ""
    form: bytes = b""

    @property
    def is_ours_to_answer(self) -> bool:
        """Say whether this asks for nothing but to pull."""
        if not self.is_plain or self.wants_refresh_token or not self.scopes:
            return False
        is_short = sum(len(str(scope)) for scope in self.scopes) <= MAX_SCOPE_CHARACTERS
        return is_short and all(scope.is_pull_only for scope in self.scopes)


class TokenRoute:
    """Answers GET and POST of the token endpoint."""

    def __init__(self, realm: Realm, known: KnownCallers, logins: Logins, issuer: Issuer) -> None:
        self._realm = realm
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
            caller, lambda: self._realm.pull_token(wish, asked_after=self._known.logins.now())
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
            answer = await self._realm.relay(
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


async def read_token_request(request: web.BaseRequest) -> TokenRequest:
    """Read a token request in either of its forms.

    Raises: BadRequest, SizeInvalid, Unsupported.
    """
    raw_query = request.raw_path.partition("?")[2]
    credential = parse_authorization(request.headers.get("Authorization", ""))
    if request.method == "GET":
        return _from_query(raw_query, credential)
    if request.method == "POST":
        return _from_form(await _read_form(request), raw_query, credential)
    error = Unsupported("tokens are asked for with GET or POST")
    error.headers["Allow"] = "GET, POST"
    raise error


async def _read_form(request: web.BaseRequest) -> bytes:
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != _FORM:
        raise BadRequest(f"a token is asked for with a body of type {_FORM}")
    if (request.content_length or 0) > MAX_FORM_BYTES:
        raise SizeInvalid("the form is too long")
    ask_for_body(request)
    form = bytearray()
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for chunk in request.content.iter_any():
                form += chunk
                if len(form) > MAX_FORM_BYTES:
                    raise SizeInvalid("the form is too long")
    except TimeoutError as exc:
        raise BadRequest("the form didn't come in time") from exc
    return bytes(form)


def _from_query(raw_query: str, credential: Credential | None) -> TokenRequest:
    query = _fields(raw_query)
    return TokenRequest(
        credential if isinstance(credential, Basic) else None,
        _scopes(query),
        is_plain=not isinstance(credential, Bearer),
        wants_refresh_token=_one(query, "offline_token") == "true",
        tokens=_tokens(credential),
        raw_query=raw_query,
    )


def _from_form(form: bytes, raw_query: str, presented: Credential | None) -> TokenRequest:
    """Read the OAuth 2 form. A login in the header beside it isn't ours to make sense of."""
    try:
        fields = _fields(form.decode("ascii"))
    except UnicodeDecodeError as exc:
        raise BadRequest("the form is not URL-encoded") from exc
    username, password = _one(fields, "username"), _one(fields, "password")
    is_password = _one(fields, "grant_type") == "password" and ":" not in username
    return TokenRequest(
        Basic(username, password) if is_password else None,
        _scopes(fields),
        is_plain=is_password and presented is None and not raw_query,
        wants_refresh_token=_one(fields, "access_type") == "offline",
        tokens=(*_tokens(presented), _one(fields, "refresh_token")),
        raw_query=raw_query,
        form=form,
    )


def _tokens(credential: Credential | None) -> tuple[str, ...]:
    return (credential.token,) if isinstance(credential, Bearer) else ()


def _fields(text: str) -> Mapping[str, list[str]]:
    """Give the parameters of a request; only `scope` may stand more than once."""
    try:
        fields = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError as exc:
        raise BadRequest("the token request can't be read") from exc
    for name, values in fields.items():
        if len(values) != 1 and name != "scope":
            raise BadRequest("a parameter stands twice in the token request")
    return fields


def _one(fields: Mapping[str, list[str]], name: str) -> str:
    return fields.get(name, [""])[0]


def _scopes(fields: Mapping[str, list[str]]) -> tuple[Scope, ...] | None:
    """Give the scopes: several parameters, or several in one parameter (OAuth 2)."""
    texts = [text for value in fields.get("scope", []) for text in value.split()]
    if len(texts) > MAX_SCOPES:
        raise BadRequest("too many scopes in one token request")
    scopes = tuple(Scope.parse(text) for text in dict.fromkeys(texts))
    known = tuple(scope for scope in scopes if scope is not None)
    return known if len(known) == len(scopes) else None
