"""`proxima replica` and `proxima client-config`: what operators are told, and the exit status."""

import sys
import tomllib
from pathlib import Path

import pytest

from tests.operation.conftest import REPOSITORY
from tests.support import images
from tests.support.hostile import HostileUpstream
from tests.support.processes import Completed, run
from tests.support.registry_client import RegistryClient
from tests.support.replica import replica
from tests.web.serving import Serving


def _process(*argv: str | Path, **environment: str) -> Completed:
    command = (sys.executable, "-m", "proxy", *map(str, argv))
    return run(command, environment=environment, timeout_seconds=30)


# --- replica ---


def test_a_replica_without_a_primary_says_what_is_missing(proxima, tmp_path):
    """The first run: what is missing is named as a setting and as a flag, all of it at once."""
    outcome = proxima("replica", "--listen", "127.0.0.1:0")
    assert (outcome.status, outcome.output) == (2, "")
    for word in ("primary.url", "--primary", "store.root", "--store"):
        assert word in outcome.errors
    assert "Traceback" not in outcome.errors


def test_settings_that_are_wrong_are_named_together(proxima, tmp_path):
    """Every problem is told at once, with what was expected."""
    config = tmp_path / "replica.toml"
    config.write_text('[listen]\nregistry = ["nowhere"]\nunknown = 1\n[primary]\nurl = "x"\n')
    outcome = proxima("replica", "--config", config, "--store", tmp_path / "store")
    assert outcome.status == 2
    for word in ("listen.registry", "listen.unknown", "primary.url"):
        assert word in outcome.errors


def test_a_port_that_is_taken_is_told(served: Serving, tmp_path):
    """Port in use: one clear line that names the address, exit status 1, nothing left running."""
    done = _process(
        *("replica", "--primary", "http://127.0.0.1:9", "--store", tmp_path / "store"),
        *("--listen", served.address),
        PROXIMA_LISTEN__OPS="127.0.0.1:0",
    )
    assert done.status == 1
    (line,) = done.errors.splitlines()
    host, _, port = served.address.rpartition(":")
    assert f"can't listen on {host} port {port}" in line
    assert "in use" in line


def test_a_store_that_is_in_use_is_told(served: Serving):
    """Two processes never write to one store: the second says so and leaves."""
    done = _process(
        *("replica", "--primary", "http://127.0.0.1:9", "--store", served.store),
        *("--listen", "127.0.0.1:0"),
        PROXIMA_LISTEN__OPS="127.0.0.1:0",
    )
    assert done.status == 1
    (line,) = done.errors.splitlines()
    assert str(served.store) in line


def test_a_replica_does_not_run_without_the_c_parser(tmp_path):
    """aiohttp's Python parser is laxer: it is refused at the start."""
    argv = ("replica", "--primary", "http://127.0.0.1:9", "--store", tmp_path / "store")
    done = _process(*argv, AIOHTTP_NO_EXTENSIONS="1")
    assert (done.status, "C parser" in done.errors) == (2, True)


def test_a_replica_runs_with_assertions_off(upstream: HostileUpstream):
    """`python -O`: nothing depends on assert statements being run."""
    image = upstream.contents.add(REPOSITORY, images.oci_image("optimized"), "v1")
    with replica(upstream.url, environment={"PYTHONOPTIMIZE": "1"}) as running:
        client = RegistryClient(running.url)
        for _ in range(2):
            assert client.get(f"/v2/{REPOSITORY}/manifests/v1").body == image.data
        for each in image.blobs:
            assert client.get(f"/v2/{REPOSITORY}/blobs/{each.digest}").body == each.data
        assert client.get("/v2/team/%2e%2e/manifests/v1").status == 400
        assert running.stop() == 0


def test_the_store_may_lie_at_a_long_path(upstream: HostileUpstream, tmp_path):
    """The control socket's short address is no limit for the store's path."""
    folder = tmp_path / ("a" * 60) / ("b" * 60)
    folder.mkdir(parents=True)
    with replica(upstream.url, folder=folder) as running:
        explained = _process(
            *("explain", f"{REPOSITORY}:v1"),
            *("--primary", upstream.url, "--store", running.store),
        )
        assert (explained.status, explained.errors) == (0, "")


# --- client-config ---

REGISTRY = ("--registry", "registry.example.com")
REPLICA = ("--replica", "https://replica.example.com:5001")


def test_client_config_for_containerd(proxima):
    """A hosts.toml that containerd reads: pulls through the replica, pushes and fallback not."""
    outcome = proxima("client-config", "containerd", *REGISTRY, *REPLICA, "--ca", "/ca.pem")
    assert (outcome.status, outcome.errors) == (0, "")
    parsed = tomllib.loads(outcome.output)
    assert parsed["server"] == "https://registry.example.com"
    host = parsed["host"]["https://replica.example.com:5001"]
    assert host == {"capabilities": ["pull", "resolve"], "ca": "/ca.pem"}
    assert "/etc/containerd/certs.d/registry.example.com/hosts.toml" in outcome.output


@pytest.mark.parametrize(("scheme", "is_insecure"), [("https", False), ("http", True)])
def test_client_config_for_podman(proxima, scheme: str, is_insecure: bool):
    """A registries.conf fragment that Podman, CRI-O, Buildah and skopeo read."""
    address = ("--replica", f"{scheme}://replica.example.com:5001")
    outcome = proxima("client-config", "podman", *REGISTRY, *address)
    (registry,) = tomllib.loads(outcome.output)["registry"]
    assert (registry["prefix"], registry["location"]) == 2 * ("registry.example.com",)
    mirror = {"location": "replica.example.com:5001", "insecure": is_insecure}
    assert registry["mirror"] == [mirror]


def test_client_config_for_docker(proxima):
    """Docker has no mirrors but for its own hub: it is told how the name leads to the replica."""
    outcome = proxima("client-config", "docker", *REGISTRY, *REPLICA, "--ca", "/ca.pem")
    assert outcome.status == 0
    assert "let registry.example.com resolve to replica.example.com" in outcome.output
    assert "/etc/docker/certs.d/registry.example.com" in outcome.output


@pytest.mark.parametrize("runtime", ["containerd", "docker", "podman"])
def test_every_runtime_is_told_the_way_back(proxima, runtime: str):
    """What was put on a node can be taken away again; each runtime's text says how."""
    outcome = proxima("client-config", runtime, *REGISTRY, *REPLICA)
    assert "way back" in outcome.output


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (("containerd", *REGISTRY, "--replica", "replica.example.com"), "--replica"),
        (("containerd", *REGISTRY, "--replica", "ftp://replica"), "--replica"),
        (("containerd", *REGISTRY, "--replica", "https://replica/path"), "--replica"),
        (("containerd", "--registry", "registry/x", *REPLICA), "--registry"),
        (("rkt", *REGISTRY, *REPLICA), "rkt"),
        (("containerd", *REGISTRY), "--replica"),
    ],
)
def test_client_config_refuses_what_it_can_not_use(proxima, argv: tuple[str, ...], word: str):
    """A wrong argument is named, and nothing is printed that somebody could paste."""
    outcome = proxima("client-config", *argv)
    assert (outcome.status, outcome.output) == (2, "")
    assert word in outcome.errors
