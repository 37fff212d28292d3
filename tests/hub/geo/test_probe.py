"""One look at a region: what passes, what is a wrong answer, what is none."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from hub.geo.health import Outcome
from hub.geo.probe import MAX_MANIFEST_BYTES, Canary, Probe, ProbeFailed
from hub.login import Login, realms_of
from proxy.net.origins import AddressPolicy, Origin
from proxy.net.session import Limits, Session
from proxy.oci.reference import Repository, parse_reference
from tests.hub.geo.region_server import (
    CANARY,
    DIGEST,
    MANIFEST,
    NAME,
    PASSWORD,
    region_server,
)
from tests.support.certificates import Authority
from tests.support.ports import claimed_port

ADDRESS = "127.0.0.21"
SECONDS = 0.5


@pytest.fixture
def port() -> Iterator[int]:
    with claimed_port() as claimed:
        yield claimed


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@asynccontextmanager
async def probing(
    port: int,
    scheme: str = "http",
    *,
    login: Login | None = None,
    reference: str = "1",
    ca_file: str | None = None,
    trusted: tuple[str, ...] = (),
) -> AsyncIterator[Probe]:
    """Give a probe of the canary."""
    policy = AddressPolicy([ADDRESS, *(Origin.of(each).host for each in trusted)])
    session = Session(policy, Limits(SECONDS, SECONDS), ca_file=ca_file)
    canary = Canary(
        Origin.of(f"{scheme}://{NAME}"),
        port,
        Repository.parse(CANARY),
        parse_reference(reference),
        login or Login(),
    )
    realms = realms_of(Origin.of("https://primary.example.com"), trusted)
    try:
        yield Probe(session, realms, canary)
    finally:
        await session.close()


async def pulled(probe: Probe) -> tuple[Outcome, str]:
    """Give what a pull came to, and its error."""
    try:
        await probe.pull(ip_address(ADDRESS))
    except ProbeFailed as exc:
        return exc.outcome, str(exc)
    return Outcome.PASSED, ""


@pytest.mark.parametrize("reference", ["1", DIGEST])
async def test_a_canary_that_is_whole_passes(port, reference):
    """The manifest is asked for by the shared name, at the region's address."""
    async with region_server(ADDRESS, port) as server, probing(port, reference=reference) as probe:
        assert await pulled(probe) == (Outcome.PASSED, "")
    assert server.hosts == {NAME}
    assert server.asked == {"manifest": 1}


@pytest.mark.parametrize(
    ("wrong", "outcome", "told"),
    [
        ({"status": 503}, Outcome.WRONG, "503"),
        ({"status": 404}, Outcome.WRONG, "404"),
        ({"status": 403}, Outcome.CLOSED, "403"),
        ({"body": MANIFEST + b" "}, Outcome.WRONG, "the manifest isn't"),
        ({"body": MANIFEST[:-1]}, Outcome.WRONG, "the manifest isn't"),
        ({"digest": ""}, Outcome.WRONG, "names no digest"),
        ({"digest": "sha256:junk"}, Outcome.WRONG, "names no digest"),
        ({"body": b"x" * (MAX_MANIFEST_BYTES + 1)}, Outcome.WRONG, "larger than"),
        ({"is_basic": True}, Outcome.WRONG, "geo.canary_username isn't set"),
        ({"realm": "https://evil.example.com/token"}, Outcome.WRONG, "trusted_origins"),
        ({"realm": "junk"}, Outcome.WRONG, "can't be followed"),
        ({"is_hanging": True}, Outcome.SILENT, "no answer"),
    ],
)
async def test_what_is_wrong_is_told_apart_from_silence(port, wrong, outcome, told):
    """An answer that is wrong says so; only no answer at all is silence."""
    async with region_server(ADDRESS, port, **wrong) as server, probing(port) as probe:
        found, error = await pulled(probe)
    assert server.asked["manifest"] == 1
    assert found is outcome, error
    assert told in error


async def test_a_refused_connection_is_silence(port):
    """Nobody listens: that is no answer."""
    async with probing(port) as probe:
        outcome, error = await pulled(probe)
    assert outcome is Outcome.SILENT
    assert "no answer" in error


@pytest.mark.parametrize("location", ["http://127.0.0.22:{port}/v2/", "//127.0.0.22:{port}/x"])
async def test_redirects_are_not_followed(port, location):
    """C13: a region that points elsewhere is wrong, and nobody goes there."""
    async with (
        region_server("127.0.0.22", port) as elsewhere,
        region_server(ADDRESS, port, status=307, location=location.format(port=port)) as server,
        probing(port) as probe,
    ):
        assert (await pulled(probe))[0] is Outcome.WRONG
    assert server.asked["manifest"] == 1
    assert not elsewhere.asked


async def test_tokens_come_from_the_region_itself(port):
    """A realm on the shared name is asked at the region's address; the token is used again."""
    login = Login("canary", PASSWORD)
    async with (
        region_server(ADDRESS, port, realm=f"http://{NAME}/token") as server,
        probing(port, login=login) as probe,
    ):
        for _ in range(3):
            assert await pulled(probe) == (Outcome.PASSED, "")
        assert server.asked == {"manifest": 4, "token": 1}
        probe.keep(frozenset())
        assert (await pulled(probe))[0] is Outcome.PASSED
    assert server.asked["token"] == 2


async def test_a_realm_elsewhere_needs_trust(port):
    """C13: the canary's password goes to the region and to trusted origins of the primary alone."""
    login, realm = Login("canary", PASSWORD), f"http://127.0.0.22:{port}"
    async with (
        region_server("127.0.0.22", port) as tokens,
        region_server(ADDRESS, port, realm=f"{realm}/token"),
    ):
        async with probing(port, login=login) as probe:
            outcome, error = await pulled(probe)
        assert (outcome, tokens.asked) == (Outcome.WRONG, {}), error
        async with probing(port, login=login, trusted=(realm,)) as probe:
            assert await pulled(probe) == (Outcome.PASSED, "")
        assert tokens.asked == {"token": 1}


async def test_a_wrong_password_is_wrong(port):
    """A token endpoint that refuses is an answer."""
    async with (
        region_server(ADDRESS, port, realm=f"http://{NAME}/token") as server,
        probing(port, login=Login("canary", "another")) as probe,
    ):
        assert (await pulled(probe))[0] is Outcome.WRONG
    assert server.asked["token"] == 1


@pytest.mark.parametrize(
    ("name", "outcome"), [(NAME, Outcome.PASSED), ("other.example.com", Outcome.WRONG)]
)
async def test_the_certificate_must_be_of_the_shared_name(port, authority, name, outcome):
    """Over TLS the region is asked by the shared name, and must be it."""
    ca = str(authority.ca_file)
    async with (
        region_server(ADDRESS, port, tls=authority.server_context(name)),
        probing(port, "https", ca_file=ca) as probe,
    ):
        found, error = await pulled(probe)
    assert found is outcome, error
    assert ("TLS" in error) is (outcome is Outcome.WRONG)


@pytest.mark.parametrize(
    ("ready", "outcome"),
    [(200, None), (204, None), (503, Outcome.WRONG), (404, Outcome.WRONG), (307, Outcome.WRONG)],
)
async def test_readiness_is_a_status(port, ready, outcome):
    """`ready` passes with a status of 200 to 299, and with nothing else."""
    async with region_server(ADDRESS, port, ready=ready) as server, probing(port) as probe:
        asking = probe.ask_ready(f"http://{ADDRESS}:{port}/readyz")
        if outcome is None:
            await asking
        else:
            with pytest.raises(ProbeFailed) as caught:
                await asking
            assert caught.value.outcome is outcome
    assert server.asked == {"ready": 1}


async def test_a_ready_url_leads_nowhere_else_on_this_machine(port):
    """C13: a loopback address that the catalogue doesn't name isn't connected to."""
    async with region_server("127.0.0.22", port) as other, probing(port) as probe:
        with pytest.raises(ProbeFailed):
            await probe.ask_ready(f"http://127.0.0.22:{port}/readyz")
    assert not other.asked


async def test_probes_open_connections_of_their_own(port):
    """No probe rides on a connection that was open before: that of a region which stopped fails."""
    async with region_server(ADDRESS, port) as server, probing(port) as probe:
        assert (await pulled(probe))[0] is Outcome.PASSED
        assert probe._session._client.connector is not None
        assert not probe._session._client.connector._conns
        await server.stop()
        assert (await pulled(probe))[0] is Outcome.SILENT
