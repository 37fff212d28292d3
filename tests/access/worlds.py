"""Primaries with one way of authenticating each, a replica before them, and calls to it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.access.in_process import InProcess
from tests.support.accounts import Accounts, Credentials
from tests.support.hostile import BasicLogin, Contents, HostileUpstream, Settings, TokenLogin
from tests.support.images import Manifest, oci_image
from tests.support.registry_client import RegistryClient, Reply
from tests.support.token_calls import basic_value
from tests.support.token_server import TokenServer

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
REPOSITORIES = ("alice/app", "bob/app", "shared/app", "public/app")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class World:
    """An upstream of ours with four repositories, and a replica before it.

    tokens: the token server on an origin of its own, where the upstream wants tokens.
    """

    upstream: HostileUpstream
    accounts: Accounts
    images: Mapping[str, Manifest]
    replica: InProcess
    tokens: TokenServer | None = None

    @property
    def token_server(self) -> TokenServer:
        assert self.tokens is not None, "no world of tokens"
        return self.tokens

    def client(self, username: str | None = None) -> RegistryClient:
        """Give a new client of the replica; it logs in as *username*."""
        credentials = None if username is None else self.accounts.credentials_of(username)
        return self.replica.client(credentials)

    def pull(self, client: RegistryClient, repository: str) -> Reply:
        """Pull a repository's manifest by digest, so that no check of a tag is in the way."""
        return client.get(f"/v2/{repository}/manifests/{self.images[repository].digest}")

    def layer(self, repository: str) -> str:
        """Give the path of a layer."""
        return f"/v2/{repository}/blobs/{self.images[repository].blobs[-1].digest}"


def contents() -> tuple[Contents, dict[str, Manifest]]:
    """Give what the upstream holds: an image of its own in each repository."""
    held = Contents()
    names = {name: name.replace("/", "-") for name in REPOSITORIES}
    return held, {name: held.add(name, oci_image(seed), "latest") for name, seed in names.items()}


def with_tokens(server: TokenServer, realm: str | None = None) -> Settings:
    return Settings(login=TokenLogin(server, realm))


def with_passwords(accounts: Accounts) -> Settings:
    return Settings(login=BasicLogin(accounts))


# --- calls ----------------------------------------------------------------------------------------


def call(
    one: InProcess,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Reply:
    """Send one request as it is; nothing is logged in or followed."""
    return RegistryClient(one.url)._send(method, target, headers, body)


def challenge_of(reply: Reply) -> dict[str, str]:
    """Give the parameters of a 401's challenge, and its ``scheme``; empty without one."""
    scheme, _, rest = (reply.header("WWW-Authenticate") or "").partition(" ")
    return {"scheme": scheme.lower(), **dict(_PARAMETER.findall(rest))} if scheme else {}


def token_path(one: InProcess) -> str:
    """Give the path of the token endpoint, as clients learn it."""
    return urlsplit(challenge_of(call(one, "GET", "/v2/"))["realm"]).path


def ask_token(
    one: InProcess, *scopes: str, credentials: Credentials | None = None, **fields: str
) -> Reply:
    """Ask for a token with a GET."""
    query = [("service", "registry.of.the.tests"), *fields.items()]
    query += [("scope", scope) for scope in scopes]
    headers = {"Authorization": basic_value(credentials)} if credentials else {}
    return call(one, "GET", f"{token_path(one)}?{urlencode(query)}", headers)


def post_token(one: InProcess, form: Mapping[str, str] | bytes) -> Reply:
    """Ask for a token with a POST."""
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    return call(one, "POST", token_path(one), FORM, body)


def bearer(reply: Reply) -> dict[str, str]:
    """Give the header that presents the token of a reply."""
    document = reply.expect(200).json()
    return {"Authorization": f"Bearer {document.get('token') or document['access_token']}"}


def claims_of(token: str) -> dict[str, Any]:
    """Give what a token says, unverified."""
    import jwt  # noqa: PLC0415

    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def errors_of(reply: Reply) -> list[str]:
    return [error["code"] for error in json.loads(reply.body)["errors"]]
