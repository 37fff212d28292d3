"""Fixtures for tests of the command line."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.cli.parser import parse_arguments
from tests.support import images
from tests.support.hostile import HostileUpstream
from tests.web.serving import Serving, serving

REPOSITORY = "team/app"


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    output: str
    errors: str


@pytest.fixture
def proxima(capfd, monkeypatch):
    """Run a verb in this process."""
    for name in [each for each in os.environ if each.startswith("PROXIMA_")]:
        monkeypatch.delenv(name)

    def call(*argv: str | Path) -> Outcome:
        capfd.readouterr()
        try:
            arguments = parse_arguments([str(each) for each in argv])
            status = arguments.verb(arguments, asyncio.run)
        except SystemExit as leaving:
            status = leaving.code
        output, errors = capfd.readouterr()
        return Outcome(status, output, errors)

    return call


@pytest.fixture
def served(upstream: HostileUpstream) -> Iterator[Serving]:
    """A replica that runs, with an image at its primary."""
    upstream.contents.add(REPOSITORY, images.multi_platform("explained"), "v1")
    with serving(upstream) as running:
        yield running
