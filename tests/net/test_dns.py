"""Names by chosen name servers, and by nothing else."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.net.dns import MAX_TTL_SECONDS, MIN_TTL_SECONDS, DnsResolver, system_addresses
from proxy.net.origins import Origin
from proxy.net.session import NotConnected, Outgoing
from tests.net.name_server import SERVER_FAILURE, NameServer, name_server
from tests.net.peer import peer, polite
from tests.net.sessions import OpenSession

NAME = "registry.example.com"


@asynccontextmanager
async def resolving(*servers: NameServer) -> AsyncIterator[DnsResolver]:
    resolver = DnsResolver([server.address for server in servers])
    try:
        yield resolver
    finally:
        await resolver.close()


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that says nothing isn't waited for as long as a real one."""
    monkeypatch.setattr("proxy.net.dns.QUERY_TIMEOUT_SECONDS", 0.3)


async def test_addresses_come_from_the_name_server() -> None:
    """Both families are asked for, at the server and the port that were named."""
    async with (
        name_server({NAME: ["10.0.0.1", "10.0.0.2", "fd00::1"]}) as server,
        resolving(server) as resolver,
    ):
        addresses, ttl_seconds = await resolver.addresses(NAME)
    assert sorted(addresses) == ["10.0.0.1", "10.0.0.2", "fd00::1"]
    assert ttl_seconds == 60
    assert set(server.asked) == {(NAME, "A"), (NAME, "AAAA")}


@pytest.mark.parametrize(
    ("ttl_seconds", "expected"),
    [
        (0, MIN_TTL_SECONDS),
        (1, MIN_TTL_SECONDS),
        (MIN_TTL_SECONDS + 1, MIN_TTL_SECONDS + 1),
        (MAX_TTL_SECONDS, MAX_TTL_SECONDS),
        (86_400, MAX_TTL_SECONDS),
        (2**31 - 1, MAX_TTL_SECONDS),
    ],
)
async def test_time_of_an_answer_has_bounds(ttl_seconds: int, expected: int) -> None:
    """An answer is neither asked for with every request nor kept for a day."""
    async with (
        name_server({NAME: ["10.0.0.1"]}, ttl_seconds) as server,
        resolving(server) as resolver,
    ):
        assert await resolver.addresses(NAME) == (["10.0.0.1"], expected)


@pytest.mark.parametrize(
    "records",
    [{}, {NAME: []}, {NAME: SERVER_FAILURE}, {NAME: None}],
    ids=["no such name", "no address", "server failure", "silence"],
)
async def test_name_without_addresses(
    short_wait: None, records: dict[str, list[str] | int | None]
) -> None:
    """A name that DNS gives no address for, for whatever reason, is an OSError, in bounded time."""
    async with (
        name_server(records) as server,
        resolving(server) as resolver,
        asyncio.timeout(5),
    ):
        with pytest.raises(OSError, match=NAME):
            await resolver.addresses(NAME)
        with pytest.raises(OSError, match=NAME):
            await resolver.resolve(NAME, 443)
        assert server.asked


async def test_second_name_server_is_asked(short_wait: None) -> None:
    """Where the first server says nothing the second is asked."""
    async with (
        name_server({NAME: None}) as mute,
        name_server({NAME: ["10.0.0.1"]}) as server,
        resolving(mute, server) as resolver,
    ):
        addresses, _ = await resolver.addresses(NAME)
    assert addresses == ["10.0.0.1"]
    assert mute.asked


def names_of_the_hosts_file() -> list[str]:
    """Give the names that a resolver which reads the hosts file would know by itself."""
    try:
        text = Path("/etc/hosts").read_text()
    except OSError:
        return []
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    names = {name.lower() for line in lines for name in line[1:]}
    return sorted(name for name in names if "localhost" not in name)


async def test_hosts_file_is_not_read() -> None:
    """Settled 33: a name of the hosts file, where the shared domain may lead to ourselves, gets the
    addresses that DNS says.
    """
    names = names_of_the_hosts_file()
    if not names:
        pytest.skip("the hosts file names nothing but localhost")
    async with (
        name_server({name: ["10.9.8.7"] for name in names}) as server,
        resolving(server) as resolver,
    ):
        for name in names:
            addresses, _ = await resolver.addresses(name)
            assert addresses == ["10.9.8.7"]
            assert (name, "A") in server.asked


async def test_resolver_serves_the_connector(open_session: OpenSession) -> None:
    """Requests to names that aren't the primary's (a realm, a storage) ask the same servers."""
    async with (
        name_server({"realm.example.com": ["127.0.0.1"]}) as server,
        resolving(server) as resolver,
        peer(polite) as realm,
    ):
        session = open_session(more={"resolver": resolver})
        origin = Origin("http", "realm.example.com", realm.port)
        answer = await session.send(origin, Outgoing("GET", "/token", {}))
        assert await answer.read(100) == b"/token"
        unknown = Origin("http", "unknown.example.com", realm.port)
        with pytest.raises(NotConnected):
            await session.send(unknown, Outgoing("GET", "/token", {}))
    assert realm.seen[0].fields.all("Host") == [f"realm.example.com:{realm.port}"]
    assert {name for name, _ in server.asked} == {"realm.example.com", "unknown.example.com"}


async def test_families_of_the_connector() -> None:
    """Each address is given with its family and the port that was asked for."""
    async with (
        name_server({NAME: ["10.0.0.1", "fd00::1"]}) as server,
        resolving(server) as resolver,
    ):
        found = await resolver.resolve(NAME, 443)
    assert sorted((each["host"], each["port"], each["family"]) for each in found) == [
        ("10.0.0.1", 443, socket.AF_INET),
        ("fd00::1", 443, socket.AF_INET6),
    ]
    assert {each["hostname"] for each in found} == {NAME}


async def test_system_resolver() -> None:
    """Without name servers of our own the system is asked; a name it doesn't know is an OSError."""
    addresses, ttl_seconds = await system_addresses("localhost")
    assert set(addresses) <= {"127.0.0.1", "::1"}
    assert addresses
    assert ttl_seconds == MIN_TTL_SECONDS
    with pytest.raises(socket.gaierror):
        await system_addresses("name.invalid")
