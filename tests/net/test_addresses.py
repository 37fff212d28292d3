"""Addresses: what may be connected to, by policy and on the wire (T17)."""

import ipaddress
import socket
from collections.abc import Iterator

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from proxy.net.origins import AddressPolicy, Origin, bracketed
from proxy.net.session import Outgoing, Session
from proxy.oci.errors import BadGateway, Unavailable, UntrustedOrigin
from tests.net.peer import Peer, peer, polite
from tests.net.sessions import OpenSession
from tests.support.ports import LOOPBACK
from tests.support.trap import Trap, trap

GET = Outgoing("GET", "/v2/", {"Authorization": "Basic c2VjcmV0"})
PRIMARY = "https://registry.example.com"


HOSTS = ["registry.example.com", "10.0.0.5", "fd00::5", "127.0.0.9"]
ALLOWED = [
    "10.0.0.5",
    "fd00::5",
    "127.0.0.9",
    "10.0.0.6",
    "8.8.8.8",
    "2001:4860:4860::8888",
    "fd00::6",
]
FORBIDDEN = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "169.254.169.254",
    "169.254.0.23",
    "224.0.0.1",
    "239.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "::1%lo",
    # no literals of addresses: what `inet_aton` would make of them never gets here
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "010.0.0.5",
    "10.0.0.5.",
    " 10.0.0.5",
    "10.0.0.5\n",
    "10.0.0.5:443",
    "[fd00::5]",
    "localhost",
    "registry.example.com",
    "",
]  # fmt: skip


@pytest.mark.parametrize("address", ALLOWED)
def test_address_that_may_be_connected_to(address: str) -> None:
    """What DNS says for a name that the settings name is allowed, private addresses too: that is
    what a private link is; loopback only where the settings name that very address.
    """
    assert AddressPolicy(HOSTS).allows(address)


@pytest.mark.parametrize("address", FORBIDDEN)
def test_address_that_may_not_be_connected_to(address: str) -> None:
    """C13: loopback, link-local, unspecified and multicast addresses in any spelling, and whatever
    is no plain literal, are refused.
    """
    assert not AddressPolicy(HOSTS).allows(address)


@pytest.mark.parametrize(
    ("hosts", "address", "expected"),
    [
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "::ffff:127.0.0.1", True),
        (["127.0.0.1"], "127.0.0.2", False),
        (["127.0.0.1"], "::1", False),
        (["::1"], "::1", True),
        (["::1"], "0:0:0:0:0:0:0:1", True),
        (["::1"], "127.0.0.1", False),
        (["localhost"], "127.0.0.1", True),
        (["localhost"], "::1", True),
        (["localhost"], "0.0.0.0", False),
        (["localhost"], "169.254.169.254", False),
        (["169.254.1.1"], "169.254.1.1", True),
        (["169.254.1.1"], "169.254.169.254", False),
        (["fe80::1%eth0"], "fe80::1", True),
        (["fe80::1%eth0"], "fe80::2", False),
        ([], "10.0.0.1", True),
        ([], "127.0.0.1", False),
    ],
)
def test_configured_address_is_allowed(hosts: list[str], address: str, expected: bool) -> None:
    """An address that the settings name is allowed, and opens the way to no other."""
    assert AddressPolicy(hosts).allows(address) is expected


@given(address=st.ip_addresses())
def test_policy_holds_for_every_address(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """C13: for every address there is the policy looks at what the kernel would reach by it."""
    mapped = address.ipv4_mapped if address.version == 6 else None
    meant = mapped or address
    is_near = meant.is_loopback or meant.is_unspecified or meant.is_link_local
    assert AddressPolicy([]).allows(str(address)) is not (is_near or meant.is_multicast)
    assert AddressPolicy([str(address)]).allows(str(address))


@pytest.mark.parametrize(
    ("host", "expected"), [("a.b", "a.b"), ("10.0.0.1", "10.0.0.1"), ("::1", "[::1]")]
)
def test_host_as_urls_write_it(host: str, expected: str) -> None:
    """IPv6 stands in brackets."""
    assert bracketed(host) == expected


class Rebinding(AbstractResolver):
    """A name server that changes its mind: one list of addresses for each question."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in answer
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
def bystander() -> Iterator[Trap]:
    """Something that listens on loopback and is none of the replica's business."""
    with trap() as found:
        yield found


def origin_on(host: str, listener: Trap) -> Origin:
    return Origin("http", host, listener.listener.port)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "0.0.0.0",
        "::ffff:127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "localhost",
        "localhost.",
        "::1",
        "::",
        "::1%lo",
    ],
)
async def test_loopback_by_any_name_is_not_reached(
    open_session: OpenSession, bystander: Trap, host: str
) -> None:
    """C13: no spelling of loopback leads to a service beside the replica, by URL or by address."""
    session = open_session(allowed=["registry.example.com", "10.0.0.5"], connect_timeout=0.5)
    for address in (None, (host, bystander.listener.port)):
        with pytest.raises((BadGateway, Unavailable)):
            await session.send(origin_on(host, bystander), GET, address=address)
    assert bystander.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["0.0.0.0"], ["::1", "127.0.0.1"], ["::ffff:127.0.0.1"], ["127.0.0.1"] * 4],
)
async def test_name_that_leads_to_loopback(
    open_session: OpenSession, bystander: Trap, addresses: list[str]
) -> None:
    """C13: a trusted name whose DNS says loopback is told as an untrusted address, and nothing is
    connected to; the address is looked at, not the name (go-containerregistry 2440).
    """
    resolver = Rebinding(addresses)
    session = open_session(allowed=["registry.example.com"], more={"resolver": resolver})
    with pytest.raises(UntrustedOrigin):
        await session.send(origin_on("registry.example.com", bystander), GET)
    assert (resolver.asked, bystander.connections) == (1, 0)


async def test_rebinding(open_session: OpenSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """C13: a name that led to an allowed address first and to another one later gets nothing from
    there: each connection's address is checked.
    """
    resolver = Rebinding(["127.0.0.1"], ["127.0.0.2"])
    session = open_session(more={"resolver": resolver})
    async with peer(polite) as primary, peer(polite, host="127.0.0.2", port=primary.port) as evil:
        origin = Origin("http", "registry.example.com", primary.port)
        await close_after(session, origin, primary)
        with pytest.raises(UntrustedOrigin):
            await session.send(origin, GET)
    assert resolver.asked == 2
    assert (primary.connections, evil.connections) == (1, 0)


async def close_after(session: Session, origin: Origin, primary: Peer) -> None:
    """Send a request, and forget its connection and the name's address."""
    headers = {**GET.headers, "Connection": "close"}
    await (await session.send(origin, Outgoing("GET", "/", headers))).drop()
    assert primary.connections == 1
    connector = session._client.connector
    connector.clear_dns_cache()  # type: ignore[union-attr]
    for pool in list(connector._conns.values()):  # type: ignore[union-attr]
        for protocol, _ in pool:
            protocol.close()


async def test_allowed_address_among_others(open_session: OpenSession) -> None:
    """A name with several addresses is reached at the one that may be connected to, alone."""
    resolver = Rebinding(["127.0.0.2", "127.0.0.1"])
    session = open_session(more={"resolver": resolver})
    async with peer(polite) as primary, peer(polite, host="127.0.0.2", port=primary.port) as evil:
        origin = Origin("http", "registry.example.com", primary.port)
        await (await session.send(origin, GET)).drop()
    assert (primary.connections, evil.connections) == (1, 0)


async def test_configured_loopback_is_reached(open_session: OpenSession) -> None:
    """The traps above would have been reached: the same way is open once the settings name it."""
    async with peer(polite) as primary:
        for allowed, host in (([LOOPBACK], LOOPBACK), (["localhost"], "localhost")):
            session = open_session(allowed=allowed)
            answer = await session.send(Origin("http", host, primary.port), GET)
            assert await answer.read(100) == b"/v2/"
    assert primary.connections == 2
