"""What a client asks a token server for, in either of the protocol's two forms."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from tests.support.accounts import Credentials
from tests.support.token_signer import Scope

Pairs = list[tuple[str, str]]


class BadCall(Exception):
    """The request isn't of the protocol's form."""


@dataclass(frozen=True, slots=True)
class TokenCall:
    """A request for a token: who asks (by password or refresh token) and for what."""

    grant: str
    credentials: Credentials | None
    refresh_token: str | None
    scopes: tuple[Scope, ...]
    wants_refresh_token: bool


def read_query(pairs: Pairs, authorization: str | None) -> TokenCall:
    """Read the GET form: scopes in the query, the login in ``Authorization``."""
    wants_refresh_token = dict(pairs).get("offline_token") == "true"
    return TokenCall("basic", basic(authorization), None, _scopes(pairs), wants_refresh_token)


def read_form(body: str) -> TokenCall:
    """Read the POST form. Raises: BadCall."""
    pairs = parse_qsl(body)
    form = dict(pairs)
    wants_refresh_token = form.get("access_type") == "offline"
    match form.get("grant_type"):
        case "password" if {"username", "password"} <= form.keys():
            credentials = Credentials(form["username"], form["password"])
            return TokenCall("password", credentials, None, _scopes(pairs), wants_refresh_token)
        case "refresh_token" if "refresh_token" in form:
            token = form["refresh_token"]
            return TokenCall("refresh_token", None, token, _scopes(pairs), wants_refresh_token)
        case _:
            raise BadCall


def basic(authorization: str | None) -> Credentials | None:
    """Read an ``Authorization: Basic`` value; None: there is none. Raises: BadCall."""
    if authorization is None:
        return None
    scheme, _, encoded = authorization.partition(" ")
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadCall from error
    username, colon, password = text.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise BadCall
    return Credentials(username, password)


def basic_value(credentials: Credentials) -> str:
    """Give the ``Authorization`` value of a login."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _scopes(pairs: Iterable[tuple[str, str]]) -> tuple[Scope, ...]:
    values = [value for name, value in pairs if name == "scope"]
    return tuple(Scope.parse(text) for value in values for text in value.split())
