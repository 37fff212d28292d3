"""The token server of a tiny registry: one user, opaque tokens, GET and the oauth2 form."""

import secrets
from collections.abc import Mapping

from loadtest.login import Login


class Tokens:
    """Tokens given out so far; each is good for the repository that it was asked for."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._scopes: dict[str, str] = {}

    def issue(self, authorization: str, form: Mapping[str, str], scope: str) -> str | None:
        """Give a token for *scope* to our user, who sent Basic or the form; else None."""
        sent = (form.get("username", ""), form.get("password", ""))
        if authorization != self._login.basic and sent != (
            self._login.username,
            self._login.password,
        ):
            return None
        token = secrets.token_urlsafe(32)
        self._scopes[token] = scope
        return token

    def may_pull(self, authorization: str, repository: str) -> bool:
        """Whether the token in *authorization* is for *repository*; any will do for none."""
        scope = self._scopes.get(authorization.removeprefix("Bearer "))
        if scope is None:
            return False
        return not repository or f"repository:{repository}:pull" in scope
