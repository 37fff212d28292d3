"""`proxima client-config`: what to put where on a node, so that it pulls through a replica."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit


def run(arguments: argparse.Namespace, _runner: object) -> int:
    """Print the configuration for one container runtime."""
    replica = urlsplit(arguments.replica)
    if replica.scheme not in ("http", "https") or not replica.hostname or replica.path.strip("/"):
        print(
            "proxima: --replica: expected a URL like https://replica.example.com:5001",
            file=sys.stderr,
        )
        return 2
    registry = arguments.registry
    if "/" in registry or not registry:
        print("proxima: --registry: expected a host like registry.example.com", file=sys.stderr)
        return 2
    print(
        WRITERS[arguments.runtime](registry, f"{replica.scheme}://{replica.netloc}", arguments.ca)
    )
    return 0


def containerd(registry: str, replica: str, ca_file: Path | None) -> str:
    """Give containerd's hosts.toml; without the replica it goes on with the registry itself."""
    lines = [
        f"# Put this into /etc/containerd/certs.d/{registry}/hosts.toml",
        "# (config_path of containerd's registry settings names that folder).",
        "# Pulls go to the replica and, if it doesn't answer, to the registry. Pushes stay there.",
        "# The way back: remove the file. containerd reads it at each pull, nothing is restarted.",
        f'server = "https://{registry}"',
        "",
        f'[host."{replica}"]',
        '  capabilities = ["pull", "resolve"]',
    ]
    if ca_file is not None:
        lines.append(f'  ca = "{ca_file}"')
    return "\n".join(lines)


def docker(registry: str, replica: str, ca_file: Path | None) -> str:
    """Say what Docker needs: the registry's name must lead to the replica."""
    netloc = urlsplit(replica).netloc
    lines = [
        "# Docker mirrors only Docker Hub; for another registry its name must lead to the replica:",
        f"# let {registry} resolve to {netloc} on this node (DNS, or a line in /etc/hosts).",
        "# The way back: remove that line.",
    ]
    if ca_file is not None:
        lines.append(f"mkdir -p /etc/docker/certs.d/{registry}")
        lines.append(f"cp {ca_file} /etc/docker/certs.d/{registry}/ca.crt")
    return "\n".join(lines)


def podman(registry: str, replica: str, ca_file: Path | None) -> str:
    """Give the registries.conf fragment of Podman, CRI-O, Buildah and skopeo."""
    parts = urlsplit(replica)
    lines = [
        "# Put this into /etc/containers/registries.conf.d/50-proxima.conf",
        "# The way back: remove the file.",
        "[[registry]]",
        f'prefix = "{registry}"',
        f'location = "{registry}"',
        "",
        "[[registry.mirror]]",
        f'location = "{parts.netloc}"',
        f"insecure = {str(parts.scheme == 'http').lower()}",
    ]
    if ca_file is not None:
        lines.append(f"# and: cp {ca_file} /etc/containers/certs.d/{parts.netloc}/ca.crt")
    return "\n".join(lines)


WRITERS: dict[str, Callable[[str, str, Path | None], str]] = {
    "containerd": containerd,
    "docker": docker,
    "podman": podman,
}
