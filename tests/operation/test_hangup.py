"""SIGHUP and the service manager: a process that reads its file again, and says how it is."""

import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support import images
from tests.support.hostile import HostileUpstream
from tests.support.raw_http import exchange, request_bytes
from tests.support.replica import Replica, replica
from tests.support.toml import write_toml
from tests.support.waiting import wait_until

HOST = "127.0.0.1"
CLIENT = "203.0.113.9"
PING = request_bytes("GET", "/v2/", HOST, ("X-Forwarded-For", CLIENT))


@pytest.fixture
def running(upstream: HostileUpstream) -> Iterator[Replica]:
    upstream.contents.add("team/app", images.oci_image("hung up"), "v1")
    with replica(upstream.url) as served:
        yield served


def _hang_up(running: Replica, **sections: dict[str, object]) -> None:
    """Write other settings and signal the process."""
    settings = {**running.settings}
    for name, section in sections.items():
        settings[name] = {**settings.get(name, {}), **section}
    write_toml(running.folder / "replica.toml", settings)
    running.process.send(signal.SIGHUP)


def _serves(running: Replica) -> bool:
    return exchange(running.address, PING).status == 200


def test_what_may_change_does_and_the_rest_is_named(running: Replica):
    """One file with both: trusted proxies count at once; the log names what waits for a restart."""
    _hang_up(running, access={"trusted_proxies": ["127.0.0.0/8"]}, listen={"max_connections": 77})
    running.wait_event("settings.reloaded", changed=["access.trusted_proxies"])
    waiting = running.wait_event("settings.need_restart", keys=["listen.max_connections"])
    assert waiting["level"] == "warning"
    assert _serves(running)
    running.wait_event("request.answered", client=CLIENT)


def test_a_file_with_problems_changes_nothing(running: Replica):
    """Every problem is logged at once; what ran goes on, and the next good file is taken."""
    bad = {"tags": {"ttl": "soon"}, "fill": {"taill": "1KiB"}}
    _hang_up(running, access={"trusted_proxies": ["127.0.0.0/8"]}, **bad)
    refused = running.wait_event("settings.not_reloaded")
    assert [problem.split(":")[0] for problem in refused["problems"]] == ["tags.ttl", "fill.taill"]
    assert refused["level"] == "error"
    assert _serves(running)
    running.wait_event("request.answered", client=HOST)
    assert running.events("settings.reloaded") == []
    _hang_up(running, access={"trusted_proxies": ["127.0.0.0/8"]})
    running.wait_event("settings.reloaded", changed=["access.trusted_proxies"])


@pytest.mark.parametrize("content", [b"\xff", b"listen = = 1", None])
def test_a_file_that_cannot_be_read_changes_nothing(running: Replica, content: bytes | None):
    """A file that is broken off, or gone, is a problem like others."""
    path = running.folder / "replica.toml"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    running.process.send(signal.SIGHUP)
    assert str(path) in running.wait_event("settings.not_reloaded")["problems"][0]
    assert _serves(running)


def test_a_storm_of_signals_ends_no_pull(running: Replica):
    """A hundred signals while clients come: all are answered, the last settings hold."""
    for number in range(100):
        running.process.send(signal.SIGHUP)
        if number % 10 == 0:
            assert _serves(running)
    _hang_up(running, tags={"ttl": "7s"})
    running.wait_event("settings.reloaded", changed=["tags.ttl"])
    assert running.stop() == 0


# --- the service manager --------------------------------------------------------------------------


@dataclass(slots=True)
class Manager:
    """What a service manager hears."""

    socket: socket.socket
    heard: list[str] = field(default_factory=list)

    def states(self) -> list[str]:
        """Give the first lines of what was said so far."""
        try:
            while True:
                self.heard.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return [said.partition("\n")[0] for said in self.heard]


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path: Path) -> Iterator[tuple[str, Manager]]:
    """A service manager, and how it says where it listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.setblocking(False)
        if request.param == "path":
            address = str(tmp_path / "notify")
            listening.bind(address)
        else:
            listening.bind("")  # a free abstract name
            address = "@" + listening.getsockname()[1:].decode()
        yield address, Manager(listening)


def test_the_service_manager_follows_a_life(upstream: HostileUpstream, manager):
    """Ready when clients may come, reloading and ready again, stopping: each when it is so."""
    address, hears = manager
    with replica(upstream.url, environment={"NOTIFY_SOCKET": address}) as running:
        wait_until(hears.states, what="it says that it is ready")
        assert hears.states() == ["READY=1"]
        assert _serves(running)
        running.process.send(signal.SIGHUP)
        wait_until(lambda: len(hears.states()) == 3, what="it reloads")
        assert hears.states() == ["READY=1", "RELOADING=1", "READY=1"]
        _, _, microseconds = hears.heard[1].partition("\nMONOTONIC_USEC=")
        assert microseconds.isdecimal()
        assert running.stop() == 0
        assert hears.states() == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


@pytest.mark.parametrize("address", ["/nowhere/notify", "", "vsock:2:1"])
def test_a_manager_that_cannot_be_told_stops_nothing(upstream: HostileUpstream, address: str):
    """Nobody there, or a kind of address that isn't known: the replica runs all the same."""
    with replica(upstream.url, environment={"NOTIFY_SOCKET": address}) as running:
        assert _serves(running)
        assert running.stop() == 0
