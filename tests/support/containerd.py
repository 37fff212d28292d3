"""containerd as a client: a daemon of the tests' own, pulling with ``ctr`` and a hosts.toml.

Each node (a namespace) shares no content with the others, so that a pull always asks the registry.
"""

import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.accounts import Credentials
from tests.support.namespaces import Host
from tests.support.processes import Completed, Process, Program, run, running, tail
from tests.support.waiting import wait_until

PROGRAM = "containerd"
CLIENT = "ctr"
SNAPSHOTTER = "native"

_DISABLED = (
    "io.containerd.grpc.v1.cri",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.restart",
    "io.containerd.runtime.v1.linux",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.overlayfs",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host of a hosts.toml: where it is, what it may be asked, whom it is trusted by."""

    url: str
    capabilities: tuple[str, ...] = ("pull", "resolve")
    ca_file: Path | None = None
    skip_verify: bool = False

    def to_toml(self) -> str:
        lines = [f'[host."{self.url}"]', f"  capabilities = {json.dumps(self.capabilities)}"]
        if self.ca_file is not None:
            lines.append(f'  ca = "{self.ca_file}"')
        if self.skip_verify:
            lines.append("  skip_verify = true")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a cluster: content and images that no other node sees.

    host: where it is, if not here: `ctr` itself asks the registry.
    """

    socket: Path
    namespace: str
    hosts_folder: Path
    host: Host | None = None

    def set_hosts(self, domain: str, *endpoints: Endpoint, server: str | None = None) -> None:
        """Write the hosts.toml of *domain*; *server*: where to go when no endpoint has it."""
        folder = self.hosts_folder / domain
        folder.mkdir(parents=True, exist_ok=True)
        head = f'server = "{server}"\n\n' if server else ""
        text = head + "\n".join(endpoint.to_toml() for endpoint in endpoints)
        (folder / "hosts.toml").write_text(text)

    def pull(
        self,
        reference: str,
        *options: str,
        credentials: Credentials | None = None,
        plain_http: bool = False,
    ) -> Completed:
        """Pull an image and unpack it, by the node's hosts.toml or over plain HTTP."""
        way = self._way(plain_http)
        argv = [
            "images",
            "pull",
            "--snapshotter",
            SNAPSHOTTER,
            *way,
            *_login(credentials),
            *options,
            reference,
        ]
        return self._run(*argv)

    def fetch(
        self,
        reference: str,
        *options: str,
        credentials: Credentials | None = None,
        plain_http: bool = False,
    ) -> Completed:
        """Fetch the content of all platforms without unpacking it, of whatever kind it is."""
        way = self._way(plain_http)
        return self._run(
            "content", "fetch", "--all-platforms", *way, *_login(credentials), *options, reference
        )

    def push(
        self, reference: str, *options: str, credentials: Credentials | None = None
    ) -> Completed:
        """Push a local image over plain HTTP."""
        return self._run(
            "images", "push", "--plain-http", *_login(credentials), *options, reference
        )

    def content(self, digest: str) -> bytes:
        """Give the bytes of a manifest or blob that is here."""
        return self._run("content", "get", digest).check().output

    def digests(self) -> set[str]:
        """Give the digests of all content that is here."""
        return set(self._run("content", "ls", "--quiet").check().text.split())

    def images(self) -> dict[str, str]:
        """Give the digest of each image by its name."""
        lines = self._run("images", "ls").check().text.splitlines()[1:]
        return {fields[0]: fields[2] for fields in map(str.split, lines)}

    def _way(self, plain_http: bool) -> list[str]:
        return ["--plain-http"] if plain_http else ["--hosts-dir", str(self.hosts_folder)]

    def _run(self, *arguments: str) -> Completed:
        argv = [CLIENT, "--address", str(self.socket), "-n", self.namespace, *arguments]
        return run(self.host.command(argv) if self.host else argv)


@dataclass(frozen=True, slots=True)
class Containerd:
    """A running daemon."""

    folder: Path
    socket: Path

    def node(self, host: Host | None = None) -> Node:
        """Give a new node without content."""
        name = f"node-{uuid.uuid4().hex[:12]}"
        return Node(self.socket, name, self.folder / "hosts" / name, host)


def _login(credentials: Credentials | None) -> list[str]:
    return ["--user", f"{credentials.username}:{credentials.password}"] if credentials else []


@contextmanager
def containerd() -> Iterator[Containerd]:
    """Run a daemon for the length of the block, with its files in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="ctrd-"))  # short: a socket's path has 107 characters
    try:
        config = folder / "config.toml"
        config.write_text(_config(folder))
        program = Program((PROGRAM, "--config", str(config)), log=folder / "containerd.log")
        with running(program) as process:
            _wait_until_ready(folder, process)
            yield Containerd(folder, folder / "sock")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(folder: Path, process: Process) -> None:
    log = folder / "containerd.log"
    wait_until(
        lambda: not process.is_running or "containerd successfully booted" in tail(log),
        30.0,
        PROGRAM,
    )
    assert process.is_running, tail(log)


def _config(folder: Path) -> str:
    return f"""
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = {json.dumps(_DISABLED)}

[grpc]
address = "{folder}/sock"

[ttrpc]
address = "{folder}/sock.ttrpc"

[debug]
level = "info"

[plugins."io.containerd.metadata.v1.bolt"]
content_sharing_policy = "isolated"
"""
