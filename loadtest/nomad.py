"""A client with an address of its own: it asks DNS where the registry is, and pulls there.

skopeo can't be told which address of this machine to come from, and that is what regions go by.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from loadtest.address import Address
from loadtest.image import MANIFEST_ACCEPT
from loadtest.login import Login
from loadtest.programs import ProgramFailed
from loadtest.programs.program import output_of

_SECONDS = 20.0
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class SharedName:
    """The registry as images name it, and the DNS server that knows where it is."""

    domain: str
    port: int
    nameserver: Address

    @property
    def host(self) -> str:
        """Host and port, as images name it."""
        return f"{self.domain}:{self.port}"


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that isn't the one asked for."""

    status: int
    code: str


class Nomad:
    """A client at *address*. Each of its pulls logs in anew and checks every byte."""

    def __init__(self, address: str, name: SharedName, login: Login | None) -> None:
        self.address = address
        self._name = name
        self._login = login

    def dig(self, *options: str) -> str:
        """Give the address that DNS has for the shared name, seen from here; empty: none.

        Raises: ProgramFailed
        """
        host, port = self._name.nameserver
        command = ["dig", f"@{host}", "-p", str(port), "-b", self.address, "+short", "+tries=2"]
        said = output_of([*command, *options, self._name.domain, "A"], _SECONDS)
        return said.split("\n", 1)[0]

    def pull(self, repository: str, reference: str, at: str) -> int | Refused:
        """Pull an image from the replica at an address; give its bytes, or who said no.

        Raises: ProgramFailed: no answer, or not the bytes of a digest.
        """
        try:
            with closing(self._connection(at)) as connection:
                return self._pull(connection, repository, reference)
        except _No as no:
            return no.refused
        except (OSError, HTTPException, ValueError) as error:
            raise ProgramFailed(f"{self.address} pulls from {at}: {error!r}") from error

    def is_served(self, repository: str, reference: str, at: str) -> bool:
        """Say whether a pull from an address succeeds."""
        try:
            return not isinstance(self.pull(repository, reference, at), Refused)
        except ProgramFailed:
            return False

    def _connection(self, at: str) -> HTTPConnection:
        return HTTPConnection(at, self._name.port, _SECONDS, (self.address, 0))

    def _pull(self, connection: HTTPConnection, repository: str, reference: str) -> int:
        base = f"/v2/{repository}"
        headers = self._credentials(connection, f"{base}/manifests/{reference}")
        data = self._get(connection, f"{base}/manifests/{reference}", headers)
        document = json.loads(data)
        size_bytes = len(data)
        for blob in (document["config"], *document["layers"]):
            body = self._get(connection, f"{base}/blobs/{blob['digest']}", headers)
            if f"sha256:{hashlib.sha256(body).hexdigest()}" != blob["digest"]:
                raise ProgramFailed(f"{blob['digest']}: other bytes")
            size_bytes += len(body)
        return size_bytes

    def _credentials(self, connection: HTTPConnection, target: str) -> Mapping[str, str]:
        """Ask without any; give the headers that the challenge wants."""
        status, challenge, body = self._ask(connection, target, {})
        if status == 200:
            return {}
        if status != 401 or self._login is None:
            raise _No(status, body)
        basic = {"Authorization": self._login.basic}
        if challenge.lower().startswith("basic"):
            return basic
        told = dict(_PARAMETER.findall(challenge))
        query = {name: told[name] for name in ("service", "scope") if name in told}
        where = f"{urlsplit(told['realm']).path}?{urlencode(query)}"
        token = json.loads(self._get(connection, where, basic))
        return {"Authorization": f"Bearer {token.get('token') or token['access_token']}"}

    def _get(self, connection: HTTPConnection, target: str, headers: Mapping[str, str]) -> bytes:
        status, _, body = self._ask(connection, target, headers)
        if status != 200:
            raise _No(status, body)
        return body

    def _ask(
        self, connection: HTTPConnection, target: str, headers: Mapping[str, str]
    ) -> tuple[int, str, bytes]:
        own = {"Host": self._name.host, "Accept": MANIFEST_ACCEPT}
        connection.request("GET", target, headers={**own, **headers})
        answer = connection.getresponse()
        return answer.status, answer.getheader("WWW-Authenticate") or "", answer.read()


class _No(Exception):
    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body[:200]!r}")
        self.refused = Refused(status, _code_of(body))


def _code_of(body: bytes) -> str:
    try:
        errors: list[dict[str, Any]] = json.loads(body)["errors"]
        return str(errors[0]["code"])
    except (ValueError, LookupError, TypeError):
        return ""
