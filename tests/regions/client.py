"""A machine that pulls by the shared name, and what it can say of where that leads."""

from dataclasses import dataclass
from pathlib import Path

from tests.regions.place import DOMAIN, OPS_PORT, RESOLVER, USER
from tests.support.containerd import Containerd, Endpoint, Node
from tests.support.namespaces import Host
from tests.support.processes import Completed
from tests.support.skopeo import Skopeo, docker, folder_copy, skopeo

__all__ = ["OPS_PORT", "Client", "client_on"]


@dataclass(frozen=True, slots=True)
class Client:
    """Programs on a host, which trust the tests' authority and have the system's resolver."""

    host: Host
    skopeo: Skopeo
    ca_file: Path

    def dig(self, *options: str, name: str = DOMAIN, kind: str = "A") -> list[str]:
        """Ask the DNS server of this host; give the records' data."""
        argv = ["dig", "+short", "+tries=1", "+time=2", *options, f"@{RESOLVER}", name, kind]
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

    def curl(self, path: str, *options: str) -> Completed:
        """Ask the shared name for a path, logged in; give the body and then the status."""
        argv = ["curl", "--silent", "--show-error", "--max-time", "20"]
        argv += ["--cacert", str(self.ca_file), "--user", f"{USER.username}:{USER.password}"]
        argv += ["--write-out", "\n%{http_code}", *options]
        return self.host.run(*argv, f"https://{DOMAIN}{path}")

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
