"""Debian's docker-registry: open, with a password, or as a proxy of another (its own mode)."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtest.address import free_address, show_address
from loadtest.login import Login
from loadtest.programs.program import Program

# For registries that live as long as a demo, on loopback. The hash is bcrypt with the least cost.
THROWAWAY_LOGIN = Login("demo", "nearest-region")
_THROWAWAY_HTPASSWD = "demo:$2y$05$CRrNbvCokhh64ip9staGgeI5FBDPncB/rtuG1rZQPmOLffkpKu9la\n"

_REQUEST = re.compile(r'^\S+ \S+ \S+ \[[^\]]+\] "(\S+) ([^ ?]+)', re.MULTILINE)


class StockRegistry(Program):
    """A registry with its data in a folder; `end` and `start` keep the address and the data."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "registry",
        login: bool = False,
        proxy_of: str = "",
        logs_requests: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._listen = free_address()
        self.address = show_address(self._listen)
        self.url = f"http://{self.address}"
        self.login = THROWAWAY_LOGIN if login else None
        settings = self._settings(folder)
        if logs_requests:
            settings["log"]["accesslog"]["disabled"] = False
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

    def notify(
        self, url: str, headers: Mapping[str, str], ignored_types: Sequence[str] = ()
    ) -> None:
        """Let it post its notifications to *url* from its next start on.

        ignored_types: media types of what it tells nothing of.
        """
        endpoint = {
            "name": "proxima",
            "url": url,
            "headers": {name: [value] for name, value in headers.items()},
            "timeout": "1s",
            "threshold": 5,
            "backoff": "1s",
            "ignore": {"actions": ["pull"], "mediatypes": list(ignored_types)},
        }
        settings = json.loads(self._config.read_text())
        self._write(settings | {"notifications": {"endpoints": [endpoint]}})

    def requests(self, method: str, part: str) -> Counter[str]:
        """Count the requests so far by path, of those with *part* in theirs; it has to log them."""
        found = _REQUEST.findall(self.log.read_text("utf-8", "replace"))
        return Counter(path for verb, path in found if verb == method and part in path)

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
