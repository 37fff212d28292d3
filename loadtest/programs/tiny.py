"""The tiny registry as a program: a primary that says what it was asked."""

import json
from http.client import HTTPConnection
from pathlib import Path

from loadtest.address import parse_address
from loadtest.login import Login
from loadtest.programs.program import Program, python_module

_COUNTS_SECONDS = 5.0


class TinyPrimary(Program):
    """A registry with a small image, and *blobs* of *size_bytes* each; `tiny.fixed` names them."""

    def __init__(
        self,
        folder: Path,
        *,
        login: Login | None = None,
        blobs: int = 0,
        size_bytes: int = 0,
        name: str = "tiny",
    ) -> None:
        arguments = ["--blobs", str(blobs), "--size", str(size_bytes)]
        if login is not None:
            arguments += ["--login", f"{login.username}:{login.password}"]
        super().__init__(name, python_module("loadtest.tiny", *arguments), folder, self._ready)
        self.address = self.url = self.index = ""
        self.layers: list[str] = []
        self.blobs: list[str] = []

    def counts(self) -> dict[str, int]:
        """Give what it was asked so far, by kind."""
        connection = HTTPConnection(*parse_address(self.address), timeout=_COUNTS_SECONDS)
        try:
            connection.request("GET", "/counts")
            counts: dict[str, int] = json.loads(connection.getresponse().read())
            return counts
        finally:
            connection.close()

    def _ready(self) -> None:
        said = self.wait_for_event("tiny.ready")
        self.address, self.index = said["address"], said["index"]
        self.layers, self.blobs = said["layers"], said["blobs"]
        self.url = f"http://{self.address}"
