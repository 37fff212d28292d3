"""Token requests read: GET with parameters, POST with a form, as Docker and as OAuth 2 ask.

Source: the distribution project's token specifications.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from aiohttp import web

from proxy.oci.challenge import Scope
from proxy.oci.errors import BadRequest, SizeInvalid, Unsupported
from proxy.registry.credentials import Basic, Bearer, Credential, parse_authorization
from proxy.serving.body import ask_for_body

MAX_FORM_BYTES = 64 << 10
MAX_SCOPES = 32
MAX_SCOPE_CHARACTERS = 3000
FORM_SECONDS = 10.0
_FORM = "application/x-www-form-urlencoded"


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
