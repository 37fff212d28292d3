"""The command line: what operators type, what they are told, and the exit status."""

import asyncio
import json
import os
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.cli.parser import parse_arguments
from tests.support import images
from tests.support.certificates import Authority
from tests.support.hostile import Challenge, HostileUpstream, Page, hostile_upstream
from tests.support.ports import LOOPBACK, claimed_port
from tests.support.processes import Completed, run
from tests.support.registry_client import RegistryClient
from tests.support.replica import replica
from tests.web.serving import Serving, serving

REPOSITORY = "team/app"


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    output: str
    errors: str


@pytest.fixture
def proxima(capfd, monkeypatch):
    """Run a verb in this process."""
    monkeypatch.setattr(os, "environ", {k: v for k, v in os.environ.items() if "PROXIMA" not in k})

    def call(*argv: str | Path) -> Outcome:
        capfd.readouterr()
        try:
            arguments = parse_arguments([str(each) for each in argv])
            status = arguments.verb(arguments, asyncio.run)
        except SystemExit as leaving:
            status = leaving.code
        output, errors = capfd.readouterr()
        return Outcome(status, output, errors)

    return call


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


def test_a_port_that_is_taken_is_told(place_of: Serving, tmp_path):
    """Port in use: one clear line that names the address, exit status 1, nothing left running."""
    done = _process(
        *("replica", "--primary", "http://127.0.0.1:9", "--store", tmp_path / "store"),
        *("--listen", place_of.address),
        PROXIMA_LISTEN__OPS="127.0.0.1:0",
    )
    assert done.status == 1
    (line,) = done.errors.splitlines()
    host, _, port = place_of.address.rpartition(":")
    assert f"can't listen on {host} port {port}" in line
    assert "in use" in line


def test_a_store_that_is_in_use_is_told(place_of: Serving):
    """Two processes never write to one store: the second says so and leaves."""
    done = _process(
        *("replica", "--primary", "http://127.0.0.1:9", "--store", place_of.store),
        *("--listen", "127.0.0.1:0"),
        PROXIMA_LISTEN__OPS="127.0.0.1:0",
    )
    assert done.status == 1
    (line,) = done.errors.splitlines()
    assert str(place_of.store) in line


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


# --- check-config ---


@pytest.fixture
def place_of(upstream: HostileUpstream) -> Iterator[Serving]:
    """A replica that runs, with an image at its primary."""
    upstream.contents.add(REPOSITORY, images.multi_platform("explained"), "v1")
    with serving(upstream) as served:
        yield served


def _check(proxima, primary: str, tmp_path: Path, *more: str) -> Outcome:
    argv = ("check-config", "--primary", primary, "--store", tmp_path / "store", *more)
    return proxima(*argv)


def test_good_settings_are_called_good(proxima, upstream: HostileUpstream, tmp_path):
    """check-config tries the primary and says how it authenticates."""
    outcome = _check(proxima, upstream.url, tmp_path)
    assert (outcome.status, outcome.errors) == (0, "")
    assert upstream.address in outcome.output
    assert "open" in outcome.output
    assert not (tmp_path / "store").exists()


def test_an_unreachable_primary_is_told(proxima, tmp_path):
    """A primary that doesn't answer is a problem that names where it was looked for."""
    with claimed_port() as port:
        outcome = _check(proxima, f"http://{LOOPBACK}:{port}", tmp_path)
    assert outcome.status == 1
    assert f"{LOOPBACK}:{port}" in outcome.errors
    assert "can't be reached" in outcome.errors
    offline = _check(proxima, "http://primary.test", tmp_path, "--offline")
    assert (offline.status, offline.errors) == (0, "")


def test_a_name_that_leads_nowhere_is_told(proxima, tmp_path):
    """A primary whose name can't be resolved is told as that."""
    outcome = _check(proxima, "http://nowhere.invalid", tmp_path)
    assert (outcome.status, "primary.url" in outcome.errors) == (1, True)


def test_an_untrusted_realm_names_the_setting(proxima, upstream: HostileUpstream, tmp_path):
    """Settled 35: tokens issued elsewhere: the setting that would trust the place is named."""
    realm = 'Bearer realm="https://auth.example.com/token",service="registry"'
    fault = upstream.inject(Challenge(realm), times=None)
    outcome = _check(proxima, upstream.url, tmp_path)
    assert (outcome.status, fault.fired) == (1, 1)
    for word in ("https://auth.example.com", "primary.trusted_origins"):
        assert word in outcome.errors
    config = tmp_path / "replica.toml"
    config.write_text('[primary]\ntrusted_origins = ["https://auth.example.com"]\n')
    assert _check(proxima, upstream.url, tmp_path, "--config", str(config)).status == 0


@pytest.mark.parametrize("status", [404, 503])
def test_what_is_no_registry_is_told(proxima, upstream: HostileUpstream, tmp_path, status: int):
    """An address that answers, but not as a registry does."""
    upstream.inject(Page(status), times=None)
    outcome = _check(proxima, upstream.url, tmp_path)
    assert (outcome.status, "no registry" in outcome.errors) == (1, True)


def test_files_that_are_missing_are_told(proxima, upstream: HostileUpstream, tmp_path):
    """Files that settings name are looked at before anybody is asked."""
    config = tmp_path / "replica.toml"
    config.write_text(
        '[primary]\nca_file = "/no/ca.pem"\n[tls]\ncertificate="/no/c"\nkey="/no/k"\n'
    )
    outcome = _check(proxima, upstream.url, tmp_path, "--config", str(config))
    assert (outcome.status, upstream.seen) == (2, [])
    for word in ("primary.ca_file", "tls.certificate", "tls.key"):
        assert word in outcome.errors


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


# --- explain ---


def _explain(proxima, served: Serving, reference: str, *more: str) -> Outcome:
    argv = ("explain", reference, "--primary", "http://primary.test", "--store", served.store)
    return proxima(*argv, *more)


def test_explain_tells_what_a_pull_would_do(proxima, place_of: Serving, upstream):
    """Cold: what the tag is here and where the primary is reached. Warm: what is present."""
    reference = f"{place_of.address}/{REPOSITORY}:v1"
    cold = _explain(proxima, place_of, reference)
    assert (cold.status, cold.errors) == (0, "")
    assert f"{REPOSITORY} v1" in cold.output
    assert upstream.address in cold.output
    image = upstream.contents.repository(REPOSITORY).tags["v1"]
    client = RegistryClient(place_of.url)
    client.get(f"/v2/{REPOSITORY}/manifests/v1").expect(200)
    warm = json.loads(_explain(proxima, place_of, reference, "--json").output)
    assert (warm["repository"], warm["reference"], warm["digest"]) == (REPOSITORY, "v1", image)
    assert image in warm["present"]
    assert warm["missing"]
    assert warm["primary"] == {upstream.address: "closed"}
    before = upstream.count()
    for each in warm["missing"]:
        client.get(f"/v2/{REPOSITORY}/manifests/{each}").expect(200)
    text = _explain(proxima, place_of, f"{REPOSITORY}@{image}").output
    assert f"here       {image}" in text
    assert upstream.count() > before


def test_explain_asks_the_primary_nothing_for_bytes(proxima, place_of: Serving, upstream):
    """Explaining changes nothing and downloads nothing."""
    _explain(proxima, place_of, f"{REPOSITORY}:v1")
    assert upstream.count("GET") == 0


def test_explain_without_a_replica_says_so(proxima, tmp_path):
    """Nobody listens at the store's socket: one line, exit status 1."""
    argv = ("explain", "a:b", "--primary", "http://primary.test", "--store", tmp_path)
    outcome = proxima(*argv)
    assert (outcome.status, outcome.output) == (1, "")
    assert f"no replica answers at {tmp_path}" in outcome.errors


@pytest.mark.parametrize("reference", ["Team/App:v1", "team/app@sha256:x", "team/app:-v", "", ":"])
def test_explain_refuses_what_is_no_reference(proxima, place_of: Serving, reference: str):
    """A reference outside the grammar is told, with the reference."""
    outcome = _explain(proxima, place_of, reference)
    assert (outcome.status, outcome.output) == (1, "")
    assert outcome.errors.startswith(f"proxima: {reference}: ")
    assert "Traceback" not in outcome.errors


def test_the_control_socket_is_the_owners_alone(place_of: Serving):
    """Settled 27: verbs go over a unix socket that nobody else may open."""
    assert (place_of.store / "control.sock").stat().st_mode & 0o777 == 0o600


def test_certificates_are_used_by_check_config(proxima, authority: Authority, tmp_path):
    """check-config trusts what `primary.ca_file` names, and tells of a certificate that is not."""
    with hostile_upstream(tls=authority.server_context(LOOPBACK)) as secured:
        untrusted = _check(proxima, secured.url, tmp_path)
        assert (untrusted.status, "certificate" in untrusted.errors.lower()) == (1, True)
        config = tmp_path / "replica.toml"
        config.write_text(f'[primary]\nca_file = "{authority.ca_file}"\n')
        assert _check(proxima, secured.url, tmp_path, "--config", str(config)).status == 0
