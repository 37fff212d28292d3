"""Pushes where the primary lost what the replica still has: nobody tells of a collection there."""

import pytest

from tests.conftest import Opened
from tests.fills.in_process import in_process
from tests.support.accounts import Accounts
from tests.support.images import oci_image
from tests.support.pushing import assert_pullable, push
from tests.support.recording_relay import recording_relay
from tests.support.registries import Registry
from tests.support.registry_client import RegistryClient
from tests.support.skopeo import Skopeo, docker
from tests.support.store_tree import linked_blobs
from tests.support.token_server import TokenServer

REPOSITORY = "alice/app"
SOURCE = "alice/source"
LOGINS = {"primary": "open", "htpasswd_primary": "basic", "token_primary": "token"}


@pytest.mark.parametrize("fixture", LOGINS, ids=LOGINS.get)
def test_a_push_brings_back_what_the_primary_lost(
    fixture: str,
    request: pytest.FixtureRequest,
    opened: Opened,
    skopeo: Skopeo,
    accounts: Accounts,
    tokens: TokenServer,
) -> None:
    """Whatever its credentials, a client that asks whether it has to upload a layer gets the
    primary's answer: its push of what is linked here and gone there succeeds, as it would there.
    """
    primary: Registry = request.getfixturevalue(fixture)
    own = accounts.credentials_of("alice")
    direct = RegistryClient(primary.url, None if fixture == "primary" else own)
    image = oci_image("collected")
    push(direct, SOURCE, image, "v1")
    origins = (f"http://{tokens.address}",) if fixture == "token_primary" else ()
    replica = opened(in_process(primary.url, primary={"trusted_origins": origins}))
    if fixture != "primary":
        for address in (primary.address, replica.address):
            skopeo.login(address, own).check()
    source, target = docker(primary.address, f"{SOURCE}:v1"), docker(replica.address, REPOSITORY)
    skopeo.copy(source, f"{target}:v1").check()
    layer = image.blobs[-1].digest
    direct.delete(f"/v2/{REPOSITORY}/blobs/{layer}").expect(202)
    direct.delete(f"/v2/{REPOSITORY}/manifests/{image.digest}").expect(202)
    assert direct.head(f"/v2/{REPOSITORY}/blobs/{layer}").status == 404
    assert layer in linked_blobs(replica.store, REPOSITORY)
    skopeo.copy(source, f"{target}:v2").check()
    assert_pullable(direct, REPOSITORY, image, "v2")


def test_in_an_outage_the_links_answer(primary: Registry, opened: Opened) -> None:
    """C23: while the primary can't be asked a HEAD of a layer says what is here."""
    image = oci_image("outage")
    replica = opened(in_process(primary.url))
    push(replica.client, REPOSITORY, image, "v1")
    path = f"/v2/{REPOSITORY}/blobs/{image.blobs[-1].digest}"
    replica.client.head(path).expect(200)
    primary.stop()
    reply = replica.client.head(path).expect(200)
    assert reply.header("Content-Length") == str(len(image.blobs[-1].data))


def test_a_pull_token_is_answered_by_links(
    token_primary: Registry, accounts: Accounts, tokens: TokenServer, opened: Opened
) -> None:
    """A HEAD of a layer with a pull token, as snapshotters send it, costs no round trip."""
    image = oci_image("lazy")
    own = accounts.credentials_of("alice")
    push(RegistryClient(token_primary.url, own), REPOSITORY, image, "v1")
    link = opened(recording_relay(token_primary.address))
    trusted = {"trusted_origins": (f"http://{tokens.address}",)}
    replica = opened(in_process(link.url, primary=trusted))
    client = RegistryClient(replica.url, own)
    path = f"/v2/{REPOSITORY}/blobs/{image.blobs[-1].digest}"
    client.get(path).expect(200)
    replica.wait_idle()
    before = len(link.exchanges)
    client.head(path).expect(200)
    assert link.exchanges[before:] == []
