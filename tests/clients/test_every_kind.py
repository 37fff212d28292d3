"""skopeo, containerd and a stock registry take every kind of content through a replica."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import skopeo as skopeo_client
from tests.support.accounts import Credentials
from tests.support.containerd import Containerd, Endpoint
from tests.support.images import Manifest, oci_image
from tests.support.kinds import KINDS, ByContainerd, Kind
from tests.support.layout import layout_blobs, write_layout
from tests.support.ports import address_of, claimed_port
from tests.support.processes import Program, run, serving
from tests.support.pushing import assert_pullable, push
from tests.support.recording_relay import recording_relay
from tests.support.registry_client import RegistryClient
from tests.support.replica import replica
from tests.support.skopeo import docker, folder_copy, layout
from tests.support.token_server import Failure

STOCK_REGISTRY = Path(__file__).parents[2] / "deploy" / "stock-registry.yml"
DOMAIN = "registry.example.test"


@dataclass(frozen=True, slots=True)
class Place:
    """A replica before a registry with tokens, and the link between them."""

    replica: object
    relay: object
    primary: object
    tokens: object
    user: Credentials


@pytest.fixture
def place(token_primary, tokens, alice, opened):
    relay = opened(recording_relay(token_primary.address))
    realm = urlsplit(tokens.realm)
    primary = {
        "url": token_primary.url,
        "connect_to": [relay.address],
        "trusted_origins": [f"{realm.scheme}://{realm.netloc}"],
    }
    return Place(opened(replica(primary)), relay, token_primary, tokens, alice)


def _pull_as_everybody(place: Place, kind: Kind, content: Manifest, containerd: Containerd, folder):
    """Pull with each client that takes this kind; each logs in anew."""
    one = place.replica
    assert_pullable(RegistryClient(one.url, place.user), "alice/app", content, "v1")
    if kind.by_skopeo:
        user = skopeo_client.skopeo(folder)
        user.login(one.address, place.user).check()
        user.copy(docker(one.address, "alice/app:v1"), folder_copy(folder / "copy")).check()
        assert (folder / "copy" / "manifest.json").read_bytes() == content.data
    name, node = f"{one.address}/alice/app:v1", containerd.node()
    match kind.by_containerd:
        case ByContainerd.PULL:
            node.pull(name, credentials=place.user, plain_http=True).check()
            assert node.content(content.digest) == content.data
        case ByContainerd.FETCH:
            node.fetch(name, credentials=place.user, plain_http=True).check()
        case ByContainerd.NOTHING:
            pass


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_clients_pull_cold_warm_and_with_the_primary_stopped(place, kind, containerd, tmp_path):
    """C23: every kind is pulled cold, warm with no blob over the link, and in an outage."""
    content = kind.build("seed")
    push(RegistryClient(place.primary.url, place.user), "alice/app", content, "v1")
    _pull_as_everybody(place, kind, content, containerd, tmp_path / "cold")
    fetched = place.relay.count("GET", "/blobs/")
    assert fetched == len({blob.digest for blob in content.all_blobs()})
    _pull_as_everybody(place, kind, content, containerd, tmp_path / "warm")
    assert place.relay.count("GET", "/blobs/") == fetched
    place.relay.cut()
    place.primary.stop()
    place.tokens.failure = Failure.ERROR
    _pull_as_everybody(place, kind, content, containerd, tmp_path / "outage")


def test_a_stock_registry_serves_every_complete_image(place, opened, tmp_path):
    """What a replica pulled, a stock registry serves from its store, byte for byte."""
    built = {kind.name: kind.build("seed") for kind in KINDS}
    through = RegistryClient(place.replica.url, place.user)
    for name, content in built.items():
        push(RegistryClient(place.primary.url, place.user), f"alice/{name}", content, "v1")
        assert_pullable(through, f"alice/{name}", content, "v1")
    with claimed_port() as port:
        environment = {
            **os.environ,
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(place.replica.store),
            "REGISTRY_HTTP_ADDR": address_of("127.0.0.1", port),
        }
        program = Program(
            ("docker-registry", "serve", str(STOCK_REGISTRY)),
            log=tmp_path / "stock.log",
            environment=environment,
        )
        opened(serving(program, port))
        stock = RegistryClient(f"http://127.0.0.1:{port}")
        for name, content in built.items():
            assert_pullable(stock, f"alice/{name}", content, "v1")


def test_skopeo_pushes_copies_and_deletes_through_a_replica(place, skopeo, tmp_path):
    """Writes reach the primary, and what was pushed is never fetched back."""
    content = oci_image("pushed")
    source = write_layout(tmp_path / "source", content, "v1")
    address = place.replica.address
    skopeo.login(address, place.user).check()
    skopeo.copy(layout(source, "v1"), docker(address, "alice/app:v1")).check()
    skopeo.copy(docker(address, "alice/app:v1"), docker(address, "alice/other:v2")).check()
    skopeo.copy(docker(address, "alice/other:v2"), layout(tmp_path / "back", "v1")).check()
    assert layout_blobs(tmp_path / "back") == layout_blobs(source)
    assert place.relay.response_bytes("/blobs/sha256") == 0
    at_primary = RegistryClient(place.primary.url, place.user)
    assert_pullable(at_primary, "alice/other", content, "v2")
    skopeo.delete(docker(address, "alice/other:v2")).check()
    through = RegistryClient(place.replica.url, place.user)
    for client in (at_primary, through):
        client.get("/v2/alice/other/manifests/v2").expect(404)
        client.get(f"/v2/alice/other/manifests/{content.digest}").expect(404)


def test_containerd_pulls_with_the_hosts_toml_that_client_config_prints(
    htpasswd_primary, authority, alice, node, opened
):
    """A node with our hosts.toml pulls the shared name from the replica, over TLS."""
    content = oci_image("by name")
    push(RegistryClient(htpasswd_primary.url, alice), "alice/app", content, "v1")
    files = authority.issue("127.0.0.1", DOMAIN)
    tls = {"certificate": str(files.certificate), "key": str(files.key)}
    listen = {"names": [DOMAIN, "127.0.0.1"]}
    one = opened(replica(htpasswd_primary.url, listen=listen, tls=tls))
    printed = run(
        [
            *(sys.executable, "-m", "proxy", "client-config", "containerd"),
            *("--registry", DOMAIN, "--replica", one.url, "--ca", str(authority.ca_file)),
        ]
    ).check()
    node.set_hosts(DOMAIN, Endpoint(one.url))
    (node.hosts_folder / DOMAIN / "hosts.toml").write_text(printed.text)
    node.pull(f"{DOMAIN}/alice/app:v1", credentials=alice).check()
    assert node.content(content.digest) == content.data
    assert one.wait_event("pull.served", repository="alice/app")
