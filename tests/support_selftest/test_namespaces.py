"""Hosts in namespaces are where they say, and lose what they are told to lose."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.namespaces import Host, World, unavailable, world
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

PORT = 7
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def hosts() -> Iterator[World]:
    with world() as made:
        made.add("here", "10.1.0.2/24")
        made.add("there", "10.2.0.2/24", resolver="10.9.9.9")
        yield made


def _connect(source: Host, target: Host, port: int = PORT) -> bool:
    """Whether a connection comes about, through a listener for that one."""

    def listen() -> socket.socket:
        return socket.create_server((target.address, port))

    def connect() -> bool:
        try:
            socket.create_connection((target.address, port), timeout=0.3).close()
        except OSError:
            return False
        return True

    with closing(target.inside(listen)):
        return source.inside(connect)


def test_a_host_reaches_others_by_its_own_address(hosts):
    """A connection through the router comes from the address that its host was given."""
    here, there = hosts.hosts["here"], hosts.hosts["there"]
    with closing(there.inside(lambda: socket.create_server((there.address, PORT)))) as server:
        client = here.inside(lambda: socket.create_connection((there.address, PORT), 2.0))
        with closing(client), closing(server.accept()[0]) as accepted:
            assert accepted.getpeername()[0] == here.address


def test_a_program_has_the_resolver_of_its_host(hosts):
    """What a program reads in resolv.conf is the host's own resolver, and nobody else's is
    changed.
    """
    there = hosts.hosts["there"]
    assert "nameserver 10.9.9.9" in there.run("cat", "/etc/resolv.conf").check().text
    assert "192.0.2.1" in hosts.hosts["here"].run("cat", "/etc/resolv.conf").check().text


def test_a_cable_is_pulled_and_put_back(hosts):
    """Nothing arrives while it is out; everything does afterwards."""
    here, there = hosts.hosts["here"], hosts.hosts["there"]
    assert _connect(here, there)
    there.cut()
    assert not _connect(here, there)
    there.mend()
    wait_until(lambda: _connect(here, there), what="a connection")


def test_one_direction_is_lost(hosts):
    """What is dropped by source and target is lost for these alone."""
    here, there = hosts.hosts["here"], hosts.hosts["there"]
    hosts.add("third", "10.3.0.2/24")
    hosts.drop(here.address, there.address)
    assert not _connect(here, there)
    assert hosts.stopped_packets()
    assert _connect(hosts.hosts["third"], there)
    hosts.pass_all()
    assert _connect(here, there)


def test_a_host_that_moves_has_its_new_address(hosts):
    """It is on the other network, by the other address, and reaches what it did before."""
    traveller = hosts.add("traveller", "10.1.0.9/24")
    assert _connect(traveller, hosts.hosts["there"])
    traveller.move("10.2.0.9/24")
    assert _connect(traveller, hosts.hosts["there"])
    assert "10.2.0.9" in traveller.run("ip", "address").check().text


def test_a_link_is_as_slow_as_it_is_told(hosts):
    """A megabyte takes at least as long as its rate says, and no longer once the link is free."""
    here, there = hosts.hosts["here"], hosts.hosts["there"]
    here.throttle("16mbit")
    assert _seconds_of_megabyte(there, here) > 0.4
    here.unthrottle()
    assert _seconds_of_megabyte(there, here) < 0.4


def _seconds_of_megabyte(source: Host, target: Host) -> float:
    with closing(source.inside(lambda: socket.create_server((source.address, PORT)))) as server:
        client = target.inside(lambda: socket.create_connection((source.address, PORT), 5.0))
        with closing(client), closing(server.accept()[0]) as accepted:
            begun = time.monotonic()
            sender = threading.Thread(target=accepted.sendall, args=(bytes(MEGABYTE),))
            sender.start()
            left = MEGABYTE
            while left:
                left -= len(client.recv(left))
            sender.join()
            return time.monotonic() - begun
