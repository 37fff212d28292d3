"""The hub beside the primary."""

import json
import secrets
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from loadtest.address import free_address, parse_address, show_address
from loadtest.programs.operator import Operator
from loadtest.programs.program import Program, ProgramFailed, python_module
from loadtest.programs.settings import Section, Sections, as_toml, laid_over

_ASK_SECONDS = 30.0


class Hub(Program):
    """`proxima hub` with its database and secrets in a folder; `end` and `start` keep its address.

    *primary* needn't answer yet. Settings are those of docs/hub-settings.md, by section and key.
    """

    def __init__(
        self, folder: Path, *, primary: str, settings: Sections | None = None, name: str = "hub"
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._listen = free_address()
        self.address = show_address(self._listen)
        self.url = f"http://{self.address}"
        self.notifications = f"{self.url}/notifications"
        self.ops = ""
        self.token_file = folder / "admin-token"
        self._token = new_secret(self.token_file)
        sender_file = folder / "sender-secret"
        self.sender = {"X-Proxima-Secret": new_secret(sender_file)}
        own: Sections = {
            "listen": {"api": [self.address], "ops": "127.0.0.1:0", "drain_limit": "3s"},
            "primary": {"url": primary},
            "database": {"url": f"sqlite:///{folder / 'hub.db'}"},
            "receiving": {"secret_file": str(sender_file)},
            "admin": {"token_file": str(self.token_file)},
        }
        config = folder / "hub.toml"
        config.write_text(as_toml(laid_over(own, settings or {})))
        command = python_module("proxy", "hub", "--config", str(config))
        super().__init__(name, command, folder, self._ready)

    @property
    def operator(self) -> Operator:
        """Who makes replicas of it, and looks at them."""
        return Operator(self.url, self.token_file)

    def ask(self, path: str) -> Any:
        """GET as an operator, which is faster than a verb; give the document.

        Raises: ProgramFailed: the answer isn't 200.
        """
        return self._request("GET", path, {"Authorization": f"Bearer {self._token}"})

    def notify(self, *events: Section) -> None:
        """Post events in our own form, as a script would.

        Raises: ProgramFailed: they aren't taken.
        """
        headers = {**self.sender, "Content-Type": "application/json"}
        self._request("POST", "/notifications", headers, json.dumps(events).encode())

    def wait_until_proven(self) -> None:
        """Return when it has seen that what the primary says arrives: from then on it gives leases.

        Raises: ProgramFailed: it has ended, or it takes too long.
        """
        self._wait_until(self._is_proven)

    def _is_proven(self) -> bool:
        connection = HTTPConnection(*parse_address(self.ops), timeout=_ASK_SECONDS)
        try:
            connection.request("GET", "/readyz")
            return bool(json.loads(connection.getresponse().read()).get("leases") == "given")
        finally:
            connection.close()

    def _request(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> Any:
        connection = HTTPConnection(*self._listen, timeout=_ASK_SECONDS)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
        except OSError as error:
            raise ProgramFailed(f"{self.name}: {method} {path}: {error}") from error
        finally:
            connection.close()
        if answer.status not in (200, 202):
            raise ProgramFailed(f"{self.name}: {method} {path}: {answer.status} {said[:300]!r}")
        return json.loads(said)

    def _ready(self) -> None:
        self.ops = self.wait_for_event("hub.ready")["ops"]


def joining(hub_url: str, token_file: Path) -> Sections:
    """Give the settings of a replica that follows the hub at *hub_url*."""
    return {
        "replication": {"source": "hub", "hub_url": hub_url, "token_file": str(token_file)},
    }


def new_secret(path: Path) -> str:
    """Write a new secret to a file of its owner's, and give it."""
    secret = secrets.token_hex(32)
    path.touch(mode=0o600)
    path.write_text(f"{secret}\n")
    return secret
