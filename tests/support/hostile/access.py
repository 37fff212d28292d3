"""Who may use the upstream."""

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs

from tests.support.accounts import Accounts
from tests.support.hostile.answers import Answer, problem
from tests.support.http1 import Request
from tests.support.token_calls import BadCall, basic
from tests.support.token_server import TokenServer

_ACTIONS = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Right:
    """The right to do *action* (pull, push, delete) in a repository."""

    repository: str
    action: str

    def __str__(self) -> str:
        asked = "pull,push" if self.action == "push" else self.action
        return f"repository:{self.repository}:{asked}"


class Login(Protocol):
    """Decides on a request that needs *rights*; none: it needs a login alone."""

    def refusal(self, request: Request, rights: tuple[Right, ...]) -> Answer | None: ...


@dataclass(frozen=True, slots=True)
class Anybody:
    """Everyone may do everything."""

    def refusal(self, request: Request, rights: tuple[Right, ...]) -> Answer | None:
        return None


@dataclass(frozen=True, slots=True)
class BasicLogin:
    """Users with passwords, and rights for each repository."""

    accounts: Accounts
    realm: str = "hostile"

    def refusal(self, request: Request, rights: tuple[Right, ...]) -> Answer | None:
        try:
            credentials = basic(request.fields.get("Authorization") or None)
        except BadCall:
            return self._challenge()
        if credentials is not None and not self.accounts.knows(credentials):
            return self._challenge()
        username = credentials.username if credentials else None
        if not rights:
            return None if username or self.accounts.anonymous else self._challenge()
        if all(self.accounts.may(username, each.repository, each.action) for each in rights):
            return None
        return problem(403, "DENIED") if username else self._challenge()

    def _challenge(self) -> Answer:
        challenge = f'Basic realm="{self.realm}"'
        return problem(401, "UNAUTHORIZED", fields=(("WWW-Authenticate", challenge),))


@dataclass(frozen=True, slots=True)
class TokenLogin:
    """Bearer tokens of a token server."""

    server: TokenServer
    realm: str | None = None

    def refusal(self, request: Request, rights: tuple[Right, ...]) -> Answer | None:
        scheme, _, token = request.fields.get("Authorization").partition(" ")
        if scheme.lower() != "bearer":
            return self._challenge(rights, None)
        if not self.server.is_valid(token):
            return self._challenge(rights, "invalid_token")
        if all(self.server.may(token, each.repository, each.action) for each in rights):
            return None
        return self._challenge(rights, "insufficient_scope")

    def _challenge(self, rights: tuple[Right, ...], error: str | None) -> Answer:
        realm = self.realm or self.server.realm
        challenge = f'Bearer realm="{realm}",service="{self.server.service}"'
        if rights:
            challenge += f',scope="{" ".join(str(each) for each in rights)}"'
        if error is not None:
            challenge += f',error="{error}"'
        return problem(401, "UNAUTHORIZED", fields=(("WWW-Authenticate", challenge),))


def rights_for(request: Request, repository: str | None) -> tuple[Right, ...]:
    """Give the rights that a request for *repository* needs, a mount's source included."""
    if repository is None:
        return ()
    right = Right(repository, _ACTIONS.get(request.method, "push"))
    query = parse_qs(request.query)
    source = query.get("from", [])[:1] if "mount" in query else []
    return (right, *(Right(name, "pull") for name in source))
