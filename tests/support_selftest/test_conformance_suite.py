"""The conformance suite tells a registry that conforms from one that doesn't."""

from tests.conformance.primaries import oci_basic
from tests.conformance.suite import Outcome, failed, regressions, run_suite, table
from tests.support.hostile import BLOBS, Header, Status
from tests.support.recording_relay import recording_relay
from tests.support.registry_client import RegistryClient


def test_a_registry_that_does_all_passes_all(tmp_path, opened):
    column = run_suite(opened(oci_basic(tmp_path)).client)
    others = {name for name, each in column.items() if each.outcome is not Outcome.PASSED}
    assert others == {"manifest: put_too_large"}, table({"all": column})


def test_a_relay_changes_no_result_though_content_is_put_at_the_origin(upstream, opened):
    direct = run_suite(RegistryClient(upstream.url))
    upstream.contents.repositories.clear()
    upstream.forget()
    relay = opened(recording_relay(upstream.address))
    column = run_suite(RegistryClient(relay.url), RegistryClient(upstream.url))
    assert regressions(direct, column) == []
    assert 0 < relay.count("PUT") < upstream.count("PUT")


def test_lies_and_errors_are_found_and_are_regressions(upstream):
    good = run_suite(RegistryClient(upstream.url))
    upstream.contents.repositories.clear()
    digest = upstream.inject(Header("Docker-Content-Digest", "sha256:0"), path=BLOBS, times=None)
    limits = upstream.inject(Status(500), where=lambda request: "n=2" in request.query, times=None)
    bad = run_suite(RegistryClient(upstream.url))
    assert digest.fired > 0
    assert limits.fired > 0
    assert {"pull: blob_get", "discovery: tags_limited"} <= failed(bad)
    assert len(regressions(good, bad)) == len(failed(bad))
    assert "blob_get" in table({"good": good, "bad": bad})
