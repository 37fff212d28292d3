"""Network namespaces: hosts with addresses of their own, on networks that a router joins.

A world has one router, itself a namespace, with a bridge for each network. Nothing of it is in the
machine's own network. Needs root; `unavailable` says why there can be none.

Programs run on a host by `Host.command`, with a resolver of its own; the test itself is there in
`Host.inside`, in a thread whose sockets are the host's.
"""

import ctypes
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Interface
from pathlib import Path
from typing import TypeVar

from tests.support.processes import Completed, ProgramFailed, run

T = TypeVar("T")

_numbers = itertools.count()
_PREFIX = "px"
_PLACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_RULES = "proxima"
_BURST = "32kb"


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
    _thread: ThreadPoolExecutor

    @property
    def address(self) -> str:
        return str(self.interface.ip)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Give the command that runs *argv* here, asking this host's resolver."""
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        inside = ["unshare", "--mount", "sh", "-c", script, str(self.resolver)]
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *inside, *argv]

    def run(
        self,
        *argv: str,
        environment: Mapping[str, str] | None = None,
        timeout_seconds: float = 60.0,
    ) -> Completed:
        """Run a program here to its end."""
        command = self.command(argv)
        return run(command, environment=environment, timeout_seconds=timeout_seconds)

    def inside(self, work: Callable[[], T]) -> T:
        """Give what *work* gives here: what it connects to is what this host would reach.

        Names are looked up as the test process does: it should use addresses.
        """
        return self._thread.submit(work).result()

    def add_address(self, address: str) -> None:
        """Answer at *address* too (with its prefix length)."""
        _ip("-n", self.name, "address", "add", address, "dev", "eth0")

    def throttle(self, rate: str) -> None:
        """Let what is sent to this host arrive at no more than *rate*, such as `8mbit`."""
        port = self._world.port_of(self)
        shape = ["tbf", "rate", rate, "burst", _BURST, "latency", "400ms"]
        _run("tc", "-n", self._world.router, "qdisc", "replace", "dev", port, "root", *shape)

    def unthrottle(self) -> None:
        """Let it arrive as fast as it can."""
        port = self._world.port_of(self)
        _run("tc", "-n", self._world.router, "qdisc", "delete", "dev", port, "root")

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

    def close(self) -> None:
        """Remove it."""
        self._thread.shutdown()
        subprocess.run(["ip", "netns", "delete", self.name], check=False, timeout=10)


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
        full_name = f"{self.prefix}-{name}"
        _ip("netns", "add", full_name)
        thread = ThreadPoolExecutor(1, full_name, _enter, (full_name,))
        host = Host(full_name, IPv4Interface(address), given, self, thread)
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

    def drop(self, source: str, target: str, ports: Sequence[int] = ()) -> None:
        """Lose what the router would pass on from *source* to *target* (addresses, networks).

        ports: of *target*, if it is only what goes to these.
        """
        to = f"tcp dport {{ {', '.join(map(str, ports))} }}" if ports else ""
        flow = f"ip saddr {source} ip daddr {target} {to}"
        self._nft(f"add rule inet {_RULES} forward {flow} counter drop")

    def reset(self, source: str, target: str) -> None:
        """Answer connections from *source* to *target* by a reset, as routers on the way may."""
        refusal = "meta l4proto tcp counter reject with tcp reset"
        self._nft(f"add rule inet {_RULES} forward ip saddr {source} ip daddr {target} {refusal}")

    def stopped_packets(self) -> int:
        """Count the packets that weren't passed on by what is told now."""
        argv = ["ip", "netns", "exec", self.router, "nft", "list", "chain", "inet", _RULES]
        told = run([*argv, "forward"], timeout_seconds=10.0).check().text
        return sum(map(int, re.findall(r"packets ([0-9]+)", told)))

    def pass_all(self) -> None:
        """Pass everything on again."""
        self._nft(f"flush chain inet {_RULES} forward")

    def open(self) -> None:
        _remove_abandoned()
        _ip("netns", "add", self.router)
        self.ip("link", "set", "lo", "up")
        _ip("netns", "exec", self.router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self._nft(
            f"add table inet {_RULES}",
            f"add chain inet {_RULES} forward {{ type filter hook forward priority 0 ; }}",
        )

    def close(self) -> None:
        for host in self.hosts.values():
            host.close()
        subprocess.run(["ip", "netns", "delete", self.router], check=False, timeout=10)

    def _nft(self, *commands: str) -> None:
        _ip("netns", "exec", self.router, "nft", " ; ".join(commands))

    def _bridge_of(self, interface: IPv4Interface) -> str:
        network = str(interface.network)
        if network not in self._bridges:
            bridge = f"br{len(self._bridges)}"
            # Of its own: a bridge goes by the lowest address of its ports otherwise, which changes
            # as hosts come and go; others then look for it at the old one for seconds.
            own = f"02:00:00:00:00:{len(self._bridges):02x}"
            self.ip("link", "add", bridge, "address", own, "type", "bridge")
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
    hosts = World(made, f"{_PREFIX}{os.getpid()}-{next(_numbers)}")
    try:
        hosts.open()
        yield hosts
    finally:
        hosts.close()
        if folder is None:
            shutil.rmtree(made, ignore_errors=True)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*argv: str) -> None:
    try:
        run(argv, timeout_seconds=10.0).check()
    except ProgramFailed as exc:
        raise OSError(str(exc)) from exc


def _enter(name: str) -> None:
    """Take the calling thread to a namespace; the others of the process stay where they are."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(_PLACES / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


def _remove_abandoned() -> None:
    """Remove the namespaces of test processes that were killed."""
    for place in _PLACES.glob(f"{_PREFIX}*"):
        found = re.match(rf"{_PREFIX}([0-9]+)-", place.name)
        if found and not Path("/proc", found[1]).exists():
            subprocess.run(["ip", "netns", "delete", place.name], check=False, timeout=10)
