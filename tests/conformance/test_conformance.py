"""No check that passes at a primary fails at a replica of an identical one."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.conformance.primaries import PRIMARIES, Primary
from tests.conformance.suite import failed, regressions, run_suite, table
from tests.support import registries
from tests.support.fixtures import Opened, require
from tests.support.registry_client import RegistryClient
from tests.support.replica import replica

# What docker-registry 2.8 doesn't do as the spec (or HTTP) says.
DISTRIBUTION_FAILS = {
    "pull: blob_range_past_end",
    "pull: manifest_reference_short_digest",
    "pull: manifest_reference_percent",
    "pull: name_empty",
    "pull: name_up",
    "upload: chunk_out_of_order",
    "upload: chunk_repeated",
    "discovery: tags_in_order",
    "discovery: tags_limited",
    "discovery: tags_none",
    "discovery: tags_after",
    "discovery: tags_limited_after",
}


@dataclass(frozen=True, slots=True)
class Family:
    """Fresh primaries of one kind, and what is known to fail there."""

    make: Callable[[str], Primary]
    known: set[str]


@pytest.fixture
def family(request, tmp_path, opened: Opened) -> Family:
    is_distribution = request.param.startswith("distribution")
    if is_distribution:
        require(registries.PROGRAM)
    known = DISTRIBUTION_FAILS if is_distribution else set()
    return Family(lambda name: opened(PRIMARIES[request.param](tmp_path / name)), known)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("family", PRIMARIES, indirect=True)
def test_a_replica_conforms_wherever_its_primary_does(family, opened: Opened):
    primary = family.make("primary")
    through = opened(replica(primary.section))
    compare(family, RegistryClient(through.url, primary.credentials))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("family", ["distribution-token", "oci-1.1-basic"], indirect=True)
def test_content_that_is_at_the_primary_alone_is_read_as_there(family, opened: Opened):
    primary = family.make("primary")
    cold = opened(replica(primary.section))
    compare(family, RegistryClient(cold.url, primary.credentials), primary.client)


def compare(family: Family, client: RegistryClient, origin: RegistryClient | None = None) -> None:
    alone = family.make("alone")
    columns = {"primary": run_suite(alone.client), "replica": run_suite(client, origin)}
    print(table(columns))
    assert failed(columns["primary"]) == family.known
    assert regressions(columns["primary"], columns["replica"]) == []
