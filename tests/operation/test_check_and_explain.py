"""`proxima check-config` and `proxima explain`: what is wrong, and what a pull would do."""

import json
from pathlib import Path

import pytest

from tests.operation.conftest import REPOSITORY
from tests.support.certificates import Authority
from tests.support.command_line import Outcome
from tests.support.hostile import Challenge, HostileUpstream, Page, hostile_upstream
from tests.support.ports import LOOPBACK, claimed_port
from tests.support.registry_client import RegistryClient
from tests.web.serving import Serving

# --- check-config ---


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


@pytest.mark.parametrize("status", [200, 404, 503])
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


# --- explain ---


def _explain(proxima, served: Serving, reference: str, *more: str) -> Outcome:
    argv = ("explain", reference, "--primary", "http://primary.test", "--store", served.store)
    return proxima(*argv, *more)


def test_explain_tells_what_a_pull_would_do(proxima, served: Serving, upstream):
    """Cold: what the tag is here and where the primary is reached. Warm: what is present."""
    reference = f"{served.address}/{REPOSITORY}:v1"
    cold = _explain(proxima, served, reference)
    assert (cold.status, cold.errors) == (0, "")
    assert f"{REPOSITORY} v1" in cold.output
    assert upstream.address in cold.output
    image = upstream.contents.repository(REPOSITORY).tags["v1"]
    client = RegistryClient(served.url)
    client.get(f"/v2/{REPOSITORY}/manifests/v1").expect(200)
    warm = json.loads(_explain(proxima, served, reference, "--json").output)
    assert (warm["repository"], warm["reference"], warm["digest"]) == (REPOSITORY, "v1", image)
    assert image in warm["present"]
    assert warm["missing"]
    assert warm["primary"] == {upstream.address: "closed"}
    before = upstream.count()
    for each in warm["missing"]:
        client.get(f"/v2/{REPOSITORY}/manifests/{each}").expect(200)
    text = _explain(proxima, served, f"{REPOSITORY}@{image}").output
    assert f"here       {image}" in text
    assert upstream.count() > before


def test_explain_asks_the_primary_nothing_for_bytes(proxima, served: Serving, upstream):
    """Explaining changes nothing and downloads nothing."""
    _explain(proxima, served, f"{REPOSITORY}:v1")
    assert upstream.count("GET") == 0


def test_explain_without_a_replica_says_so(proxima, tmp_path):
    """Nobody listens at the store's socket: one line, exit status 1."""
    argv = ("explain", "a:b", "--primary", "http://primary.test", "--store", tmp_path)
    outcome = proxima(*argv)
    assert (outcome.status, outcome.output) == (1, "")
    assert f"no replica answers at {tmp_path}" in outcome.errors


@pytest.mark.parametrize("reference", ["Team/App:v1", "team/app@sha256:x", "team/app:-v", "", ":"])
def test_explain_refuses_what_is_no_reference(proxima, served: Serving, reference: str):
    """A reference outside the grammar is told, with the reference."""
    outcome = _explain(proxima, served, reference)
    assert (outcome.status, outcome.output) == (1, "")
    assert outcome.errors.startswith(f"proxima: {reference}: ")
    assert "Traceback" not in outcome.errors


def test_the_control_socket_is_the_owners_alone(served: Serving):
    """Settled 27: verbs go over a unix socket that nobody else may open."""
    assert (served.store / "control.sock").stat().st_mode & 0o777 == 0o600


def test_certificates_are_used_by_check_config(proxima, authority: Authority, tmp_path):
    """check-config trusts what `primary.ca_file` names, and tells of a certificate that is not."""
    with hostile_upstream(tls=authority.server_context(LOOPBACK)) as secured:
        untrusted = _check(proxima, secured.url, tmp_path)
        assert (untrusted.status, "certificate" in untrusted.errors.lower()) == (1, True)
        config = tmp_path / "replica.toml"
        config.write_text(f'[primary]\nca_file = "{authority.ca_file}"\n')
        assert _check(proxima, secured.url, tmp_path, "--config", str(config)).status == 0
