"""A machine that pulls by the shared name, and what it can say of where that leads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.regions.place import DOMAIN, RESOLVER, USER, Place
from tests.support.containerd import Containerd, Endpoint, Node
from tests.support.namespaces import Host
from tests.support.processes import Completed
from tests.support.registry_client import RegistryClient, Reply
from tests.support.skopeo import Skopeo, docker, folder_copy, skopeo
from tests.support.token_calls import basic_value


@dataclass(frozen=True, slots=True)
class Client:
    """Programs on a host, which trust the tests' authority and have the system's resolver."""

    host: Host
    skopeo: Skopeo
    ca_file: Path

    def dig(self, *options: str, name: str = DOMAIN, kind: str = "A") -> list[str]:
        """Ask the DNS server of this host; give the records' data."""
        argv = ["dig", "+short", "+tries=1", "+time=5", *options, f"@{RESOLVER}", name, kind]
        return self.host.run(*argv).check().text.split()

    def lookup(self) -> list[str]:
        """Give the addresses that the system's resolver gives."""
        found = self.host.run("getent", "ahostsv4", DOMAIN)
        return sorted({line.split()[0] for line in found.text.splitlines()})

    def inspect(self, name: str) -> Completed:
        """Pull a manifest and the configuration by the shared name."""
        return self.skopeo.inspect(docker(DOMAIN, name))

    def pull(self, name: str, folder: Path, *options: str) -> Completed:
        """Pull an image by the shared name into a folder."""
        return self.skopeo.copy(docker(DOMAIN, name), folder_copy(folder), *options)

    def ask(self, place: Place, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Ask a region by the shared name, logged in, wherever DNS would lead."""
        client = RegistryClient(f"https://{place.address}", USER, self.ca_file, DOMAIN)
        sent = {"Authorization": basic_value(USER), **(headers or {})}
        return self.host.inside(lambda: client.get(path, sent))

    def node(self, daemon: Containerd) -> Node:
        """Give a node of containerd on this host."""
        node = daemon.node(self.host)
        node.set_hosts(DOMAIN, Endpoint(f"https://{DOMAIN}", ca_file=self.ca_file))
        return node


def client_on(host: Host, folder: Path, ca_file: Path) -> Client:
    """Give a client that is logged in."""
    user = skopeo(folder, host).trusting(ca_file)
    user.remember(DOMAIN, USER)
    return Client(host, user, ca_file)
