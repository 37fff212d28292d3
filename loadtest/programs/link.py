"""The link emulator as a program, so that its work isn't done on the caller's time."""

import json
from http.client import HTTPConnection
from pathlib import Path

from loadtest.address import Address, parse_address, show_address
from loadtest.link import LinkCounts, LinkSettings
from loadtest.programs.program import Program, python_module

_CONTROL_SECONDS = 5.0


class LinkProgram(Program):
    """A link to one address, with counts and faults."""

    def __init__(self, to: Address, settings: LinkSettings, folder: Path, name: str = "link"):
        arguments = ["--to", show_address(to), "--round-trip", f"{settings.round_trip_seconds}s"]
        if settings.rate_bytes_per_second is not None:
            arguments += ["--rate", f"{settings.rate_bytes_per_second:.0f}"]
        if settings.connection_rate_bytes_per_second is not None:
            arguments += ["--connection-rate", f"{settings.connection_rate_bytes_per_second:.0f}"]
        super().__init__(name, python_module("loadtest.link", *arguments), folder, self._ready)
        self.address = ""
        self.control = ""

    def counts(self) -> LinkCounts:
        """Give what has entered the link so far."""
        return self._ask("GET", "/")

    def cut(self) -> LinkCounts:
        """Reset every open connection."""
        return self._ask("POST", "/cut")

    def refuse(self) -> LinkCounts:
        """Be an outage."""
        return self._ask("POST", "/refuse")

    def restore(self) -> LinkCounts:
        """End the outage."""
        return self._ask("POST", "/restore")

    def _ready(self) -> None:
        said = self.wait_for_event("link.ready")
        self.address, self.control = said["address"], said["control"]

    def _ask(self, method: str, path: str) -> LinkCounts:
        connection = HTTPConnection(*parse_address(self.control), timeout=_CONTROL_SECONDS)
        try:
            connection.request(method, path)
            return LinkCounts(**json.loads(connection.getresponse().read()))
        finally:
            connection.close()
