"""A token server: logs users in and signs what they may do, as registries with tokens need it.

GET with Basic (or nobody) and POST with an OAuth 2 form, refresh tokens included. Rights come from
``accounts``; a login that may not do all it asks for gets a token for what it may do.
"""

import asyncio
import enum
import secrets
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jwt
from aiohttp import web

from tests.support.accounts import Accounts
from tests.support.loop_thread import LoopThread
from tests.support.ports import LOOPBACK, address_of, claimed_port
from tests.support.token_calls import BadCall, TokenCall, read_form, read_query
from tests.support.token_signer import Scope, Signer, registry_claims
from tests.support.waiting import POLL_SECONDS

ISSUER = "issuer of the tests"
SERVICE = "registry.of.the.tests"
GARBAGE = "<html>welcome</html>"


class Failure(enum.Enum):
    """How a token server can be broken."""

    ERROR = "answers 500"
    REFUSE = "answers 401 to everyone"
    HANG = "doesn't answer until it is repaired"
    GARBAGE = "answers 200 with something that isn't JSON"


CATALOGUE = Scope("registry", "catalog", ("*",))


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One request as the token server saw it; a call that hangs is here at once."""

    method: str
    username: str | None
    scopes: tuple[str, ...]
    grant: str
    status: int


class _Unauthorized(Exception):
    """The login is wrong."""


@dataclass(slots=True)
class TokenServer:
    """A running token server."""

    accounts: Accounts
    signer: Signer
    realm: str
    address: str
    issuer: str = ISSUER
    service: str = SERVICE
    lifetime_seconds: int = 300
    requires_login: bool = False
    failure: Failure | None = None
    requests: list[TokenRequest] = field(default_factory=list)
    _refresh_tokens: dict[str, str] = field(default_factory=dict)

    def issue(self, username: str | None, *scopes: str, lifetime_seconds: int | None = None) -> str:
        """Give a token for what *username* may do of *scopes* (``repository:team/app:pull``)."""
        asked = tuple(Scope.parse(text) for text in scopes)
        return self._sign(username, asked, lifetime_seconds or self.lifetime_seconds)

    def may(self, token: str, repository: str, action: str) -> bool:
        """Tell whether a token of this server is valid now and allows *action* there."""
        access = self._access(token) or []
        entries = [
            entry for entry in access if (entry.type, entry.name) == ("repository", repository)
        ]
        return any(action in entry.actions for entry in entries)

    def is_valid(self, token: str) -> bool:
        """Tell whether a token is this server's and valid now."""
        return self._access(token) is not None

    def revoke(self, username: str) -> None:
        """End a user's logins and refresh tokens; tokens that are out live to their end."""
        self.accounts.remove(username)
        kept = {key: name for key, name in self._refresh_tokens.items() if name != username}
        self._refresh_tokens = kept

    def answer(self, method: str, call: TokenCall) -> web.Response:
        """Answer one well-formed call and record it."""
        try:
            username = self._log_in(call)
        except _Unauthorized:
            return self._recorded(method, call, None, _problem(401, "invalid_client"))
        return self._recorded(method, call, username, self._granted(call, username))

    def refuse(self, method: str, failure: Failure | None) -> web.Response:
        """Answer one call that can't be read, or that meets a broken server, and record it."""
        response = {
            None: _problem(400, "invalid_request"),
            Failure.ERROR: web.Response(status=500, text="internal error"),
            Failure.REFUSE: _problem(401, "invalid_client"),
            Failure.HANG: _problem(503, "temporarily_unavailable"),
            Failure.GARBAGE: web.Response(text=GARBAGE, content_type="text/html"),
        }[failure]
        self.requests.append(TokenRequest(method, None, (), "", response.status))
        return response

    def _recorded(
        self, method: str, call: TokenCall, username: str | None, response: web.Response
    ) -> web.Response:
        scopes = tuple(str(scope) for scope in call.scopes)
        entry = TokenRequest(method, username, scopes, call.grant, response.status)
        self.requests.append(entry)
        return response

    def _log_in(self, call: TokenCall) -> str | None:
        if call.refresh_token is not None:
            if call.refresh_token not in self._refresh_tokens:
                raise _Unauthorized
            return self._refresh_tokens[call.refresh_token]
        credentials = call.credentials
        if credentials is None and not self.requires_login:
            return None
        if credentials is None or not self.accounts.knows(credentials):
            raise _Unauthorized
        return credentials.username

    def _granted(self, call: TokenCall, username: str | None) -> web.Response:
        token = self._sign(username, call.scopes, self.lifetime_seconds)
        answer: dict[str, str | int] = {"access_token": token, "expires_in": self.lifetime_seconds}
        if call.grant == "basic":
            answer["token"] = token
        else:
            answer["scope"] = " ".join(str(scope) for scope in call.scopes)
        if call.wants_refresh_token and username is not None:
            answer["refresh_token"] = secrets.token_urlsafe()
            self._refresh_tokens[str(answer["refresh_token"])] = username
        return web.json_response(answer)

    def _sign(self, username: str | None, scopes: tuple[Scope, ...], lifetime_seconds: int) -> str:
        granted = [self._allowed(username, scope) for scope in scopes]
        rights = [scope for scope in granted if scope.actions]
        return self.signer.sign(
            registry_claims(self.issuer, self.service, username or "", rights, lifetime_seconds)
        )

    def _allowed(self, username: str | None, scope: Scope) -> Scope:
        may = self.accounts.may
        actions = [action for action in scope.actions if may(username, scope.name, action)]
        if scope == CATALOGUE:  # for who may pull everything
            actions = ["*"] if may(username, scope.name, "pull") else []
        elif scope.type != "repository":
            actions = []
        return Scope(scope.type, scope.name, tuple(actions))

    def _access(self, token: str) -> list[Scope] | None:
        try:
            claims = self.signer.claims(token, self.issuer, self.service)
        except jwt.InvalidTokenError:
            return None
        entries = claims["access"]
        return [Scope(entry["type"], entry["name"], tuple(entry["actions"])) for entry in entries]


@contextmanager
def token_server(
    folder: Path,
    accounts: Accounts,
    *,
    signer: Signer | None = None,
    path: str = "/token",
    realm: str | None = None,
    tls: ssl.SSLContext | None = None,
    host: str = LOOPBACK,
) -> Iterator[TokenServer]:
    """Run a token server for the length of the block.

    realm: where clients are told to go, if that isn't this server's own address (a path on the
           registry's domain, say, which a relay routes here).
    """
    scheme = "https" if tls else "http"
    with claimed_port() as port, LoopThread("token-server") as thread:
        address = address_of(host, port)
        own_realm = realm or f"{scheme}://{address}{path}"
        server = TokenServer(accounts, signer or Signer(folder), own_realm, address)
        runner = thread.run(_listen(server, path, host, port, tls))
        try:
            yield server
        finally:
            server.failure = None
            thread.run(runner.cleanup())


async def _listen(
    server: TokenServer, path: str, host: str, port: int, tls: ssl.SSLContext | None
) -> web.AppRunner:
    async def answer(request: web.Request) -> web.Response:
        return await _answer(server, request)

    application = web.Application()
    application.router.add_get(path, answer)
    application.router.add_post(path, answer)
    runner = web.AppRunner(application, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=tls).start()
    return runner


async def _answer(server: TokenServer, request: web.Request) -> web.Response:
    if (failure := server.failure) is not None:
        refusal = server.refuse(request.method, failure)
        while server.failure is Failure.HANG:
            await asyncio.sleep(POLL_SECONDS)
        return refusal
    try:
        return server.answer(request.method, await _read(request))
    except BadCall:
        return server.refuse(request.method, None)


async def _read(request: web.Request) -> TokenCall:
    if request.method == "POST":
        return read_form(await request.text())
    return read_query(list(request.query.items()), request.headers.get("Authorization"))


def _problem(status: int, code: str) -> web.Response:
    return web.json_response({"error": code}, status=status)
