"""The token endpoint: this region's issuer of pull tokens.

A scope that only pulls gets our own short token once the primary's token service accepted the
login. Whatever else is asked (push, delete, refresh tokens, `docker login` without a scope,
scopes we don't know) goes to the primary's token service as it came, and its answer comes back
as it is.

Source: the distribution project's token specifications: GET with Basic, POST as in OAuth 2.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

from aiohttp import web

from proxy.oci.challenge import Challenge, Scheme, Scope
from proxy.oci.errors import BadRequest, NotServedHere, SizeInvalid, Unauthorized, Unavailable
from proxy.registry.access import Logins
from proxy.registry.credentials import Basic, CredentialKeeper, parse_authorization
from proxy.registry.issuer import IssuedToken, Issuer
from proxy.registry.realm import Realm, TokenAnswer
from proxy.telemetry.labels import Kind, Origin
from proxy.web.body import ask_for_body
from proxy.web.exchange import Exchange, Subject
from proxy.web.respond import BASE_HEADERS, json_response

MAX_FORM_BYTES = 64 << 10
MAX_SCOPES = 32
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What is asked for, whichever way it came. Scopes are None if one of them isn't known."""

    credential: Basic | None
    scopes: tuple[Scope, ...] | None
    service: str
    has_refresh_token: bool
    wants_refresh_token: bool
    raw_query: str = ""
    form: bytes = b""

    @property
    def is_ours_to_answer(self) -> bool:
        """Say whether this asks for nothing but to pull."""
        if self.has_refresh_token or self.wants_refresh_token or not self.scopes:
            return False
        return all(scope.is_pull_only for scope in self.scopes)


class TokenRoute:
    """Answers GET and POST of the token endpoint."""

    def __init__(
        self, realm: Realm, keeper: CredentialKeeper, logins: Logins, issuer: Issuer
    ) -> None:
        self._realm = realm
        self._keeper = keeper
        self._logins = logins
        self._issuer = issuer

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        """Answer one token request.

        Raises: Unauthorized: the login isn't accepted. Unavailable: it can't be checked.
        """
        exchange.event = "token.answered"
        exchange.subject = Subject(Kind.TOKEN)
        challenge = await self._realm.challenge()
        if challenge.scheme is not Scheme.BEARER:
            raise NotServedHere
        asked = await read_token_request(exchange.request)
        if asked.is_ours_to_answer:
            exchange.origin = Origin.STORE
            return await self._issue(challenge, asked)
        exchange.origin = Origin.PRIMARY
        return await self._relay(exchange, challenge, asked)

    async def _issue(self, challenge: Challenge, asked: TokenRequest) -> web.StreamResponse:
        scopes = asked.scopes or ()
        caller = self._keeper.caller(asked.credential)
        await self._logins.require(
            caller, lambda: self._realm.fresh_pull_token(caller, asked.credential, scopes[0])
        )
        issued = self._issuer.issue(caller, challenge.service, scopes)
        return json_response(_token_document(issued, scopes))

    async def _relay(
        self, exchange: Exchange, challenge: Challenge, asked: TokenRequest
    ) -> web.StreamResponse:
        request = exchange.request
        authorization = request.headers.get("Authorization", "")
        try:
            answer = await self._realm.relay(
                request.method, asked.raw_query, asked.form, authorization
            )
        except Unavailable:
            return self._login_in_outage(challenge, asked)
        return _relayed(answer)

    def _login_in_outage(self, challenge: Challenge, asked: TokenRequest) -> web.StreamResponse:
        """Accept a plain login (no scope) that was accepted before; it grants nothing by itself."""
        caller = self._keeper.caller(asked.credential)
        is_plain_login = asked.scopes == () and not asked.has_refresh_token
        if not is_plain_login or asked.credential is None or not self._logins.was_accepted(caller):
            raise Unavailable("the primary's token service can't be reached")
        issued = self._issuer.issue(caller, challenge.service, ())
        return json_response(_token_document(issued, ()))


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


def _relayed(answer: TokenAnswer) -> web.Response:
    if answer.status == 401:
        raise Unauthorized
    media_type = answer.content_type.partition(";")[0].strip()
    is_json = media_type == "application/json"
    headers = {**BASE_HEADERS, "Content-Type": answer.content_type if is_json else "text/plain"}
    return web.Response(status=answer.status, body=answer.body, headers=headers)


async def read_token_request(request: web.BaseRequest) -> TokenRequest:
    """Read a token request in either of its forms.

    Raises: BadRequest, SizeInvalid.
    """
    raw_query = request.raw_path.partition("?")[2]
    if request.method == "GET":
        return _from_query(raw_query, request.headers.get("Authorization", ""))
    if request.method == "POST":
        return _from_form(await _read_form(request))
    raise BadRequest("tokens are asked for with GET or POST")


async def _read_form(request: web.BaseRequest) -> bytes:
    if request.headers.get("Content-Type", "").partition(";")[0].strip() != _FORM:
        raise BadRequest(f"a token is asked for with a body of type {_FORM}")
    ask_for_body(request)
    form = bytearray()
    async for chunk in request.content.iter_any():
        form += chunk
        if len(form) > MAX_FORM_BYTES:
            raise SizeInvalid("the form is too long")
    return bytes(form)


def _from_query(raw_query: str, authorization: str) -> TokenRequest:
    query = _fields(raw_query)
    credential = parse_authorization(authorization)
    return TokenRequest(
        credential if isinstance(credential, Basic) else None,
        _scopes(query),
        _one(query, "service"),
        has_refresh_token=credential is not None and not isinstance(credential, Basic),
        wants_refresh_token=_one(query, "offline_token") == "true",
        raw_query=raw_query,
    )


def _from_form(form: bytes) -> TokenRequest:
    try:
        fields = _fields(form.decode("ascii"))
    except UnicodeDecodeError as exc:
        raise BadRequest("the form is not URL-encoded") from exc
    is_password = _one(fields, "grant_type") == "password"
    credential = Basic(_one(fields, "username"), _one(fields, "password")) if is_password else None
    return TokenRequest(
        credential,
        _scopes(fields),
        _one(fields, "service"),
        has_refresh_token=not is_password,
        wants_refresh_token=_one(fields, "access_type") == "offline",
        form=form,
    )


def _fields(text: str) -> Mapping[str, list[str]]:
    try:
        return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError as exc:
        raise BadRequest("the token request can't be read") from exc


def _one(fields: Mapping[str, list[str]], name: str) -> str:
    values = fields.get(name, [""])
    if len(values) != 1:
        raise BadRequest(f"{name} stands twice in the token request")
    return values[0]


def _scopes(fields: Mapping[str, list[str]]) -> tuple[Scope, ...] | None:
    """Give the scopes: several parameters, or several in one parameter (OAuth 2)."""
    texts = [text for value in fields.get("scope", []) for text in value.split()]
    if len(texts) > MAX_SCOPES:
        raise BadRequest("too many scopes in one token request")
    scopes = tuple(Scope.parse(text) for text in dict.fromkeys(texts))
    known = tuple(scope for scope in scopes if scope is not None)
    return known if len(known) == len(scopes) else None
