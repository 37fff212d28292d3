"""Three regions as the demo and the benchmarks run them, and clients with addresses there."""

import dataclasses

import pytest

from loadtest.bench.geography import DOMAIN, PLACES, REPOSITORY, TAG, resolve, running
from loadtest.bench.rows.failover import Pull, _until_served
from loadtest.nomad import Nomad, Refused, SharedName
from loadtest.programs import ProgramFailed, Skopeo, StockRegistry
from tests.support.fixtures import require

PROGRAMS = (
    *("docker-registry", "skopeo", "pdns_server", "dig"),
    "/var/lib/dpkg/info/pdns-backend-remote.list",
)


@pytest.fixture(scope="module")
def geography(tmp_path_factory):
    for program in PROGRAMS:
        require(program)
    with running(tmp_path_factory.mktemp("regions")) as made:
        yield made


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_a_client_is_led_to_its_region_and_pulls_there(geography, place):
    """What DNS says by our own question and by dig is the region of the address that asks."""
    name = SharedName(DOMAIN, geography.port, geography.server.listens)
    client = Nomad(place.client(7), name, None)
    assert client.dig() == resolve(name.nameserver, client.address) == place.address
    assert client.pull(REPOSITORY, TAG, place.address) == geography.image.total_bytes


def test_a_name_without_an_address_is_told_from_silence(geography):
    """A question for another zone is an answer without an address, not a lost one."""
    with pytest.raises(LookupError):
        resolve(geography.server.listens, PLACES[0].client(1), "elsewhere.test")


def test_a_refusal_has_its_code(geography):
    """What isn't there is a refusal with the registry's own code, not a failure."""
    name = SharedName(DOMAIN, geography.port, geography.server.listens)
    client = Nomad(PLACES[0].client(7), name, None)
    missing = client.pull(REPOSITORY, "missing", PLACES[0].address)
    assert missing == Refused(404, "MANIFEST_UNKNOWN")
    nowhere = dataclasses.replace(name, port=9)
    with pytest.raises(ProgramFailed, match="refused"):
        Nomad(PLACES[0].client(7), nowhere, None).pull(REPOSITORY, TAG, PLACES[0].address)


def test_a_client_logs_in_where_it_is_challenged(tmp_path, geography):
    """With a password for a registry that wants one it pulls, without one it is refused."""
    with StockRegistry(tmp_path / "registry", login=True) as registry:
        assert registry.login is not None
        skopeo = Skopeo(tmp_path / "publisher")
        skopeo.login(registry.address, registry.login)
        skopeo.copy(geography.image.place, f"docker://{registry.address}/{REPOSITORY}:{TAG}")
        host, _, port = registry.address.partition(":")
        name = SharedName(DOMAIN, int(port), geography.server.listens)
        own = Nomad("127.0.0.1", name, registry.login)
        assert own.pull(REPOSITORY, TAG, host) == geography.image.total_bytes
        assert Nomad("127.0.0.1", name, None).pull(REPOSITORY, TAG, host) == Refused(
            401, "UNAUTHORIZED"
        )


def pulls(*served: bool) -> list[Pull]:
    return [Pull(10.0 + index, each, "127.1.0.1") for index, each in enumerate(served)]


def test_a_failover_has_ended_when_pulls_succeed():
    """Pulls from before the kill don't count, and one failure in a hundred is no failure."""
    lost, back = [True, *[False] * 20], [True] * 150
    assert _until_served(pulls(*lost, *back), 11.0) == 19.0
    assert _until_served(pulls(*lost, *back, False, *back), 11.0) == 19.0
    assert _until_served(pulls(*lost, *back, False, False, *back), 11.0) > 150


@pytest.mark.parametrize("served", [[True] * 200, [False] * 200, [True, False] * 100, [False] * 9])
def test_a_failover_that_didnt_happen_or_end_is_no_measurement(served):
    """Where nothing failed, or too much still does at the end, there is no time to give."""
    with pytest.raises(ProgramFailed):
        _until_served(pulls(*served), 10.0)
