"""The hub as a user of registries: its logins, and the tokens that they are changed for."""

import base64
import json
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from proxy.net.origins import Origin, TrustedOrigins
from proxy.oci.challenge import Challenge, repository_scope
from proxy.oci.errors import BadGateway
from proxy.oci.request import Action


@dataclass(frozen=True, slots=True)
class Login:
    """User name and password; both empty: the primary asks for none."""

    username: str = ""
    password: str = ""

    def as_basic(self) -> str:
        """Give the Authorization header."""
        text = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(text).decode()}"


def token_target(challenge: Challenge, repository: str, action: Action) -> str:
    """Give path and query at a challenge's realm, for a token that is good for one action."""
    realm = urlsplit(challenge.realm)
    scope = quote(str(repository_scope(repository, action)), safe="")
    asked = f"service={quote(challenge.service, safe='')}&scope={scope}"
    query = f"{realm.query}&{asked}" if realm.query else asked
    return f"{realm.path or '/'}?{query}"


def token_in(status: int, body: bytes) -> str:
    try:
        document = json.loads(body) if status == 200 else {}
    except (ValueError, RecursionError) as exc:
        raise BadGateway("the token server's answer can't be understood") from exc
    found = document if isinstance(document, dict) else {}
    token = found.get("token") or found.get("access_token")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise BadGateway(f"the token server answered {status}, without a token")
    return token


def realms_of(primary: Origin, trusted: tuple[str, ...]) -> TrustedOrigins:
    """Give where passwords may go: the primary, and what the settings name."""
    return TrustedOrigins([primary, *map(Origin.of, trusted)], "primary.trusted_origins")
