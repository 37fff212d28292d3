"""Network namespaces: hosts with addresses of their own, on networks that a router joins.

A world has one router, itself a namespace, with a bridge for each network. Nothing of it is in the
machine's own network. Needs root; `unavailable` says why there can be none.
"""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Interface
from pathlib import Path

from tests.support.processes import Completed, run

_numbers = itertools.count()


@cache
def unavailable() -> str:
    """Say why there can be no namespaces here; empty: there can."""
    if os.geteuid() != 0:
        return "namespaces need root"
    try:
        with world() as hosts:
            hosts.add("probe", "10.0.0.2/24")
    except (subprocess.CalledProcessError, OSError) as exc:
        return f"namespaces can't be made here: {exc}"
    return ""


@dataclass(slots=True)
class Host:
    """A host on one network at a time; its programs are run through `command`.

    resolver: address of the DNS server that its programs ask.
    """

    name: str
    interface: IPv4Interface
    resolver: Path
    _world: "World"

    @property
    def address(self) -> str:
        return str(self.interface.ip)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Give the command that runs *argv* here, asking this host's resolver."""
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        inside = ["unshare", "--mount", "sh", "-c", script, str(self.resolver)]
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *inside, *argv]

    def run(self, *argv: str, timeout_seconds: float = 60.0) -> Completed:
        """Run a program here to its end."""
        return run(self.command(argv), timeout_seconds=timeout_seconds)

    def move(self, address: str) -> None:
        """Leave this network for another one, as a client does that travels."""
        self._world.detach(self)
        self.interface = IPv4Interface(address)
        self._world.attach(self)

    def cut(self) -> None:
        """Pull the cable: nothing arrives, nothing leaves, nobody is told."""
        self._world.ip("link", "set", self._world.port_of(self), "down")

    def mend(self) -> None:
        """Put the cable back."""
        self._world.ip("link", "set", self._world.port_of(self), "up")


@dataclass(slots=True)
class World:
    """Hosts and their router, which has the first address of each network."""

    folder: Path
    prefix: str
    hosts: dict[str, Host] = field(default_factory=dict)
    _bridges: dict[str, str] = field(default_factory=dict)
    _ports: dict[str, str] = field(default_factory=dict)

    @property
    def router(self) -> str:
        return f"{self.prefix}-r"

    def add(self, name: str, address: str, *, resolver: str = "192.0.2.1") -> Host:
        """Add a host at *address* (with its prefix length)."""
        given = self.folder / f"{name}.resolv"
        given.write_text(f"nameserver {resolver}\noptions timeout:1 attempts:2\n")
        host = Host(f"{self.prefix}-{name}", IPv4Interface(address), given, self)
        _ip("netns", "add", host.name)
        self.hosts[name] = host
        _ip("-n", host.name, "link", "set", "lo", "up")
        self.attach(host)
        return host

    def attach(self, host: Host) -> None:
        """Connect a host to the network of its address."""
        bridge = self._bridge_of(host.interface)
        port = f"p{next(_numbers)}"
        self.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        self.ip("link", "set", port, "master", bridge, "up")
        self._ports[host.name] = port
        _ip("-n", host.name, "address", "add", str(host.interface), "dev", "eth0")
        _ip("-n", host.name, "link", "set", "eth0", "up")
        gateway = str(host.interface.network[1])
        _ip("-n", host.name, "route", "add", "default", "via", gateway)

    def detach(self, host: Host) -> None:
        """Take a host from its network."""
        self.ip("link", "delete", self._ports.pop(host.name))

    def port_of(self, host: Host) -> str:
        return self._ports[host.name]

    def ip(self, *arguments: str) -> None:
        """Change something of the router's links."""
        _ip("-n", self.router, *arguments)

    def open(self) -> None:
        _ip("netns", "add", self.router)
        self.ip("link", "set", "lo", "up")
        forward = ["sysctl", "-qw", "net.ipv4.ip_forward=1"]
        subprocess.run(["ip", "netns", "exec", self.router, *forward], check=True, timeout=10)

    def close(self) -> None:
        names = [host.name for host in self.hosts.values()]
        for name in (*names, self.router):
            subprocess.run(["ip", "netns", "delete", name], check=False, timeout=10)

    def _bridge_of(self, interface: IPv4Interface) -> str:
        network = str(interface.network)
        if network not in self._bridges:
            bridge = f"br{len(self._bridges)}"
            self.ip("link", "add", bridge, "type", "bridge")
            gateway = f"{interface.network[1]}/{interface.network.prefixlen}"
            self.ip("address", "add", gateway, "dev", bridge)
            self.ip("link", "set", bridge, "up")
            self._bridges[network] = bridge
        return self._bridges[network]


@contextmanager
def world(folder: Path | None = None) -> Iterator[World]:
    """Make a world of hosts for the length of the block; every program in it must have ended."""
    made = folder or Path("/tmp") / f"world-{os.getpid()}-{next(_numbers)}"
    made.mkdir(parents=True, exist_ok=True)
    hosts = World(made, f"px{os.getpid()}-{next(_numbers)}")
    try:
        hosts.open()
        yield hosts
    finally:
        hosts.close()
        if folder is None:
            shutil.rmtree(made, ignore_errors=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)
