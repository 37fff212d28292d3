"""Connections: when they are used again, when they aren't, and how they are authenticated."""

import socket

import pytest

from proxy.net.origins import Origin
from proxy.net.session import NotConnected, Outgoing, Session
from proxy.oci.errors import Unavailable
from tests.net.peer import Call, peer, polite, saying
from tests.net.sessions import GET, UNFINISHED, OpenSession, idle_connections
from tests.support.certificates import Authority
from tests.support.waiting import eventually


async def test_connection_is_used_again(session: Session) -> None:
    """Requests one after the other share a connection."""
    async with peer(polite) as primary:
        for _ in range(5):
            await (await session.send(primary.origin, GET)).read(100)
    assert (primary.connections, len(primary.seen)) == (1, 5)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_closed_idle_connection_is_not_used(session: Session, method: str) -> None:
    """A connection that the other side closed while it was idle costs no request."""

    async def once(call: Call) -> None:
        await call.head()
        await call.answer()

    async with peer(once) as primary:
        for expected in (1, 2):
            await (await session.send(primary.origin, Outgoing(method, "/", {}))).drop()
            assert primary.connections == expected
            await eventually(lambda: not idle_connections(session), 2)


@pytest.mark.parametrize(
    ("method", "requests"), [("GET", 3), ("HEAD", 3), ("POST", 2), ("PATCH", 2)]
)
async def test_connection_that_ends_under_a_request(
    session: Session, method: str, requests: int
) -> None:
    """A kept connection that ends as a request is sent on it: reads are asked again on a fresh one,
    what may have had an effect isn't.
    """

    async def once_and_a_half(call: Call) -> None:
        await call.head()
        await call.answer()
        await call.head()
        if call.number == 1:
            call.reset()
        else:
            await call.answer()

    async with peer(once_and_a_half) as primary:
        await (await session.send(primary.origin, GET)).drop()
        request = Outgoing(method, "/", {})
        if requests == 3:
            await (await session.send(primary.origin, request)).drop()
        else:
            with pytest.raises(Unavailable):
                await session.send(primary.origin, request)
    assert len(primary.seen) == requests


async def test_nobody_listens(session: Session) -> None:
    """A refused connection is told from one that came about and broke."""
    async with peer(polite) as primary:
        pass
    with pytest.raises(NotConnected):
        await session.send(primary.origin, GET)


async def test_connection_that_does_not_come_about(open_session: OpenSession) -> None:
    """C22: an address that swallows packets is given up after the connect timeout."""
    session = open_session(connect_timeout=0.2)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        queued = [socket.socket() for _ in range(3)]
        for one in queued:  # fill the queue of those that nobody accepts
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        with pytest.raises(NotConnected):
            await session.send(Origin("http", *deaf.getsockname()), GET)
        for one in queued:
            one.close()


async def test_connections_are_bounded(
    open_session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more connections are open than the limit says; who waits too long for one is told."""
    monkeypatch.setattr("proxy.net.session.POOL_WAIT_SECONDS", 0.1)
    session = open_session(max_connections=2)
    async with peer(saying(UNFINISHED)) as primary:
        held = [await session.send(primary.origin, GET) for _ in range(2)]
        with pytest.raises(NotConnected):
            await session.send(primary.origin, GET)
        assert primary.connections == 2
        held.pop().close()
        held.append(await session.send(primary.origin, GET))
        assert primary.connections == 3
        for answer in held:
            answer.close()


async def test_host_and_server_name_stay_the_origins(
    open_session: OpenSession, authority: Authority
) -> None:
    """Connected to by address, a primary is asked and authenticated by its name; HTTP/1.1 is all
    that is offered.
    """
    names: list[str | None] = []
    tls = authority.server_context("registry.example.com")
    tls.set_alpn_protocols(["h2", "http/1.1"])
    tls.sni_callback = lambda _, name, __: names.append(name)  # type: ignore[assignment]
    protocols: list[str | None] = []

    async def handle(call: Call) -> None:
        connection = call.writer.get_extra_info("ssl_object")
        protocols.append(connection.selected_alpn_protocol())
        await polite(call)

    session = open_session(more={"ca_file": str(authority.ca_file)})
    async with peer(handle, tls=tls) as primary:
        origin = Origin("https", "registry.example.com", 443)
        answer = await session.send(origin, GET, address=primary.address)
        await answer.drop()
    assert primary.seen[0].fields.all("Host") == ["registry.example.com"]
    assert (names, protocols) == (["registry.example.com"], ["http/1.1"])


@pytest.mark.parametrize(
    ("certified", "is_trusted"),
    [("other.example.com", True), ("127.0.0.1", True), ("registry.example.com", False)],
)
async def test_wrong_certificate_is_no_connection(
    open_session: OpenSession, authority: Authority, certified: str, is_trusted: bool
) -> None:
    """T17: an address whose certificate isn't one for the name sees no request."""
    session = open_session(more={"ca_file": str(authority.ca_file)} if is_trusted else {})
    async with peer(polite, tls=authority.server_context(certified)) as impostor:
        origin = Origin("https", "registry.example.com", 443)
        with pytest.raises(NotConnected):
            await session.send(origin, GET, address=impostor.address)
    assert impostor.seen == []


async def test_names_of_one_address_share_no_connection(
    open_session: OpenSession, authority: Authority
) -> None:
    """A connection that was authenticated for one name isn't used for another."""
    tls = authority.server_context("a.example.com", "b.example.com")
    session = open_session(more={"ca_file": str(authority.ca_file)})
    async with peer(polite, tls=tls) as primary:
        for name in ("a.example.com", "b.example.com", "a.example.com"):
            origin = Origin("https", name, 443)
            await (await session.send(origin, GET, address=primary.address)).drop()
    assert primary.connections == 2
