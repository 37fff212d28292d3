"""A node's way to a token, as containerd's: it learns how from the first 401 of each pull."""

import json
from urllib.parse import urlencode

from loadtest.login import Login
from loadtest.wire import Answer, Ask, PullFailed, Wire
from proxy.oci.challenge import Challenge, Scheme, parse_challenges

# A token server that doesn't know the form gets the credentials as Basic in a GET.
_NO_FORM = frozenset({400, 401, 404, 405})
_CLIENT = "containerd-client"


class Authorizer:
    """The credential of one pull: none at first, then what the challenge asks for."""

    def __init__(self, wire: Wire, login: Login | None, repository: str) -> None:
        self._wire, self._login = wire, login
        self._scope = f"repository:{repository}:pull"
        self._header = ""

    @property
    def headers(self) -> dict[str, str]:
        """What to send along."""
        return {"Authorization": self._header} if self._header else {}

    def answer_challenge(self, refusal: Answer) -> None:
        """Get what a 401 asks for.

        Raises: PullFailed: nothing that can be had.
        """
        for challenge in parse_challenges([refusal.header("www-authenticate")]):
            if challenge.scheme is Scheme.BEARER:
                self._header = f"Bearer {self._fetch_token(challenge)}"
                return
            if challenge.scheme is Scheme.BASIC and self._login is not None:
                self._header = self._login.basic
                return
        raise PullFailed("401 with no challenge that can be answered")

    def _fetch_token(self, challenge: Challenge) -> str:
        if self._login is not None:
            answer = self._post(challenge, self._login)
            if answer.status not in _NO_FORM:
                return _token_in(answer)
        return _token_in(self._get(challenge))

    def _post(self, challenge: Challenge, login: Login) -> Answer:
        form = {
            "grant_type": "password",
            "service": challenge.service,
            "client_id": _CLIENT,
            "scope": self._scope,
            "username": login.username,
            "password": login.password,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return self._wire.send(
            Ask(
                "POST",
                challenge.realm,
                "token (form)",
                headers,
                form=urlencode(form),
                accepted=(200, *_NO_FORM),
            )
        )

    def _get(self, challenge: Challenge) -> Answer:
        query = urlencode({"scope": self._scope, "service": challenge.service})
        url = f"{challenge.realm}{'&' if '?' in challenge.realm else '?'}{query}"
        headers = {"Authorization": self._login.basic} if self._login is not None else {}
        return self._wire.send(Ask("GET", url, "token", headers))


def _token_in(answer: Answer) -> str:
    try:
        document = json.loads(answer.body)
        token = document.get("token") or document.get("access_token")
    except (ValueError, AttributeError) as error:
        raise PullFailed("the token server's answer isn't a JSON object") from error
    if not isinstance(token, str):
        raise PullFailed("the token server's answer has no token")
    return token
