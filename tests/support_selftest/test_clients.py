"""skopeo and containerd, run by the tests, push and pull against the real registry."""

import pytest

from tests.support import images
from tests.support.containerd import Endpoint
from tests.support.kinds import KINDS, ByContainerd
from tests.support.layout import layout_blobs, write_layout
from tests.support.pushing import assert_pullable, push
from tests.support.registries import Token, docker_registry
from tests.support.registry_client import RegistryClient
from tests.support.skopeo import docker, folder_copy, layout

DOMAIN = "registry.example.test"


def test_skopeo_pushes_to_a_token_registry_and_pulls_back(token_primary, skopeo, alice, tmp_path):
    content = images.multi_platform("skopeo")
    source = write_layout(tmp_path / "source", content, "v1")
    skopeo.login(token_primary.address, alice).check()
    name = docker(token_primary.address, "alice/app:v1")
    skopeo.copy(layout(source, "v1"), name).check()
    assert_pullable(RegistryClient(token_primary.url, alice), "alice/app", content, "v1")
    skopeo.copy(name, layout(tmp_path / "copy")).check()
    assert layout_blobs(tmp_path / "copy") == layout_blobs(source)


def test_skopeo_without_a_login_is_refused(htpasswd_primary, skopeo):
    done = skopeo.inspect(docker(htpasswd_primary.address, "alice/app:v1"))
    assert done.status != 0
    assert "authentication required" in done.errors


def test_skopeo_inspects_lists_and_deletes(primary, skopeo):
    content = images.oci_image()
    push(RegistryClient(primary.url), "team/app", content, "v1")
    name = docker(primary.address, "team/app:v1")
    assert skopeo.raw_manifest(name) == content.data
    assert '"v1"' in skopeo.tags(docker(primary.address, "team/app")).check().text
    skopeo.delete(name).check()
    assert skopeo.inspect(name).status != 0


def test_skopeo_trusts_the_tests_authority(tmp_path, authority, skopeo, opened):
    primary = opened(docker_registry(tmp_path / "tls", tls=authority.issue("127.0.0.1")))
    client = RegistryClient(primary.url, ca_file=authority.ca_file)
    push(client, "team/app", images.oci_image(), "v1")
    name = docker(primary.address, "team/app:v1")
    skopeo.trusting(authority.ca_file).inspect(name).check()
    assert "certificate" in type(skopeo)(tmp_path, tmp_path / "none.crt").inspect(name).errors


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.by_skopeo], ids=str)
def test_skopeo_copies_what_it_is_said_to_copy(primary, skopeo, kind, tmp_path):
    content = kind.build("seed")
    push(RegistryClient(primary.url), "team/app", content, "v1")
    skopeo.copy(docker(primary.address, "team/app:v1"), folder_copy(tmp_path / "copy")).check()
    assert (tmp_path / "copy" / "manifest.json").read_bytes() == content.data


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_containerd_does_what_it_is_said_to_do_with_each_kind(primary, node, kind):
    content = kind.build("seed")
    push(RegistryClient(primary.url), "team/app", content, "v1")
    name = f"{primary.address}/team/app:v1"
    match kind.by_containerd:
        case ByContainerd.PULL:
            node.pull(name, plain_http=True).check()
            assert node.images()[name] == content.digest
            assert node.content(content.digest) == content.data
        case ByContainerd.FETCH:
            node.fetch(name, plain_http=True).check()
            assert {each.digest for each in content.all_blobs()} <= node.digests()
        case ByContainerd.NOTHING:
            assert node.fetch(name, plain_http=True).status != 0


def test_containerd_pulls_by_hosts_toml_over_tls_with_a_token(
    tmp_path, authority, tokens, node, alice, opened
):
    files = authority.issue("127.0.0.1")
    primary = opened(docker_registry(tmp_path / "tls", Token(tokens), tls=files))
    content = images.oci_image()
    push(RegistryClient(primary.url, alice, authority.ca_file), "alice/app", content, "v1")
    node.set_hosts(DOMAIN, Endpoint(primary.url, ca_file=authority.ca_file))
    node.pull(f"{DOMAIN}/alice/app:v1", credentials=alice).check()
    assert node.content(content.digest) == content.data
    assert tokens.requests[-1].username == "alice"


def test_a_node_without_credentials_gets_nothing(token_primary, node):
    assert node.pull(f"{token_primary.address}/alice/app:v1", plain_http=True).status != 0


def test_nodes_share_no_content(relay, containerd):
    content = images.oci_image()
    push(RegistryClient(relay.url), "team/app", content, "v1")
    name = f"{relay.address}/team/app:v1"
    containerd.node().pull(name, plain_http=True).check()
    relay.forget()
    containerd.node().pull(name, plain_http=True).check()
    assert relay.count("GET", "/blobs/") == len(content.blobs)
