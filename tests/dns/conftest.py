"""Fixtures of the tests of DNS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dns.stub_hub import TOKEN, StubHub, stub_hub
from tests.support.command_line import proxima  # noqa: F401 -- a fixture


@pytest.fixture
def hub() -> Iterator[StubHub]:
    """A hub that tells of three regions."""
    with stub_hub() as made:
        yield made


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """What DNS servers show to the hub."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path
