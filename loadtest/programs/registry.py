"""Debian's docker-registry: open, with a password, or as a proxy of another (its own mode)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtest.address import free_address, show_address
from loadtest.login import Login
from loadtest.programs.program import Program

# For registries that live as long as a demo, on loopback. The hash is bcrypt with the least cost.
THROWAWAY_LOGIN = Login("demo", "nearest-region")
_THROWAWAY_HTPASSWD = "demo:$2y$05$CRrNbvCokhh64ip9staGgeI5FBDPncB/rtuG1rZQPmOLffkpKu9la\n"


class StockRegistry(Program):
    """A registry with its data in a folder; `end` and `start` keep the address and the data."""

    def __init__(
        self, folder: Path, *, name: str = "registry", login: bool = False, proxy_of: str = ""
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._listen = free_address()
        self.address = show_address(self._listen)
        self.url = f"http://{self.address}"
        self.login = THROWAWAY_LOGIN if login else None
        settings = self._settings(folder)
        if login:
            passwords = folder / "htpasswd"
            passwords.write_text(_THROWAWAY_HTPASSWD)
            settings["auth"] = {"htpasswd": {"realm": "proxima", "path": str(passwords)}}
        if proxy_of:
            settings["proxy"] = {"remoteurl": proxy_of}
        self._config = folder / "config.yml"
        self._write(settings)
        command = ["docker-registry", "serve", str(self._config)]
        super().__init__(name, command, folder, self._ready)

    def notify(self, url: str, headers: Mapping[str, str]) -> None:
        """Let it post its notifications to *url* from its next start on."""
        endpoint = {
            "name": "proxima",
            "url": url,
            "headers": {name: [value] for name, value in headers.items()},
            "timeout": "1s",
            "threshold": 5,
            "backoff": "1s",
            "ignore": {"actions": ["pull"]},
        }
        settings = json.loads(self._config.read_text())
        self._write(settings | {"notifications": {"endpoints": [endpoint]}})

    def _write(self, settings: dict[str, Any]) -> None:
        self._config.write_text(json.dumps(settings, indent=2))  # JSON is YAML

    def _settings(self, folder: Path) -> dict[str, Any]:
        return {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(folder / "data")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.address, "secret": "of one run"},
        }

    def _ready(self) -> None:
        self.wait_until_listening(self._listen)
