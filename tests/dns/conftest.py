"""Fixtures of the tests of DNS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dns.powerdns import REMOTE
from tests.dns.site import Site, running_site
from tests.dns.stub_hub import TOKEN, StubHub, stub_hub
from tests.support.command_line import proxima  # noqa: F401 -- a fixture
from tests.support.fixtures import require


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


@pytest.fixture(scope="session")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One of each for all tests in this process."""
    for each in ("pdns_server", "dig", REMOTE):
        require(each)
    with running_site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture
def site(whole_site: Site) -> Site:
    """The same, every region up again."""
    whole_site.begin()
    return whole_site
