"""Our challenge: the primary's scheme and service, with a realm that leads to us.

The realm is the scheme and Host that the client used (checked before) and the primary's own realm
path where that is on the shared domain, else a path of ours. It is never http behind TLS.
"""

from urllib.parse import urlsplit

from proxy.oci.challenge import Scheme, Scope, basic_header, bearer_header, repository_scope
from proxy.oci.errors import Unauthorized
from proxy.oci.request import Action
from proxy.registry.realm import Realm
from proxy.telemetry.labels import Kind
from proxy.web.exchange import Exchange

OUR_TOKEN_PATH = "/v2/token"  # noqa: S105  # a path, no secret


class Challenges:
    """Writes challenges, and knows where they lead."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm

    def leads_to(self, path: str) -> bool:
        """Say whether *path* is that of the token endpoint."""
        return path in (OUR_TOKEN_PATH, self._token_path())

    def _token_path(self) -> str:
        challenge = self._realm.known_challenge()
        if challenge is None or challenge.scheme is not Scheme.BEARER:
            return OUR_TOKEN_PATH
        if not self._realm.is_shared(challenge):
            return OUR_TOKEN_PATH
        return urlsplit(challenge.realm).path or OUR_TOKEN_PATH

    def write(self, exchange: Exchange, error: Unauthorized) -> str:
        """Give the WWW-Authenticate header of a 401; empty where the primary has no challenge."""
        challenge = self._realm.known_challenge()
        if challenge is None or challenge.scheme is Scheme.OPEN:
            return ""
        if challenge.scheme is Scheme.BASIC:
            return basic_header(challenge.realm)
        if exchange.subject.kind is Kind.TOKEN:
            return basic_header(challenge.service)
        realm = f"{exchange.scheme}://{exchange.host}{self._token_path()}"
        return bearer_header(realm, challenge.service, _scopes(exchange), error.error)


def _scopes(exchange: Exchange) -> tuple[Scope, ...]:
    subject = exchange.subject
    if subject.kind is Kind.CATALOG:
        return (Scope("registry", "catalog", frozenset({"*"})),)
    if not subject.repository:
        return ()
    scope = repository_scope(subject.repository, subject.action)
    return (scope, repository_scope(subject.source, Action.PULL)) if subject.source else (scope,)
