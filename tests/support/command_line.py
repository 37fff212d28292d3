"""Verbs of the command line, run in the test's own process."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.parser import parse_arguments

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a verb said; `events` are its JSON lines."""

    status: int | str | None
    output: str
    errors: str

    @property
    def events(self) -> list[Event]:
        return [json.loads(line) for line in self.output.splitlines()]

    def of(self, event: str) -> list[Event]:
        return [each for each in self.events if each["event"] == event]

    @property
    def result(self) -> Event:
        last = self.events[-1]
        assert last["event"] == "result", (self.output, self.errors)
        return last

    @property
    def findings(self) -> dict[str, bool]:
        """Which problems were found, and whether each was repaired."""
        return {each["problem"]: each["repaired"] for each in self.of("finding")}

    def deeds(self, deed: str) -> list[str]:
        """What was dealt with in that way."""
        return [each["what"] for each in self.of("done") if each["deed"] == deed]


Proxima = Callable[..., Outcome]


@pytest.fixture
def proxima(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Proxima:
    """Run a verb in this process."""
    for name in [each for each in os.environ if each.startswith("PROXIMA_")]:
        monkeypatch.delenv(name)

    def call(*argv: str | Path) -> Outcome:
        capfd.readouterr()
        status: int | str | None
        try:
            arguments = parse_arguments([str(each) for each in argv])
            status = arguments.verb(arguments, asyncio.run)
        except SystemExit as leaving:
            status = leaving.code
        output, errors = capfd.readouterr()
        return Outcome(status, output, errors)

    return call
