"""A world of three regions for each module."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.regions.place import PROBE_SECONDS
from tests.regions.world import Regions, three_regions
from tests.support.fixtures import require
from tests.support.namespaces import unavailable

PROGRAMS = ("docker-registry", "skopeo", "pdns_server", "haproxy", "dig", "ip", "nft", "tc")


@pytest.fixture(scope="module")
def regions(request: pytest.FixtureRequest) -> Iterator[Regions]:
    """A primary, a hub, a DNS server, a replica and a client in each of three regions.

    A module may say how often the hub probes: PROBE_SECONDS.
    """
    if reason := unavailable():
        pytest.skip(reason)
    for program in PROGRAMS:
        require(program)
    probe_seconds = getattr(request.module, "PROBE_SECONDS", PROBE_SECONDS)
    folder = Path(tempfile.mkdtemp(prefix="rg-"))  # short: a socket's path has 107 characters
    try:
        with three_regions(folder, probe_seconds) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)
