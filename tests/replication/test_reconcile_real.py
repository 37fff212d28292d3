"""Reconcile, backfill and referrers with a real docker-registry, which tells nobody anything."""

import shutil
from typing import Any

import pytest

from config import Backfill as Policy
from config import Secret
from proxy.telemetry.labels import CopyEnd, Finding, RoundEnd
from tests.replication.copying import REPOSITORY, Told, told
from tests.support.accounts import Accounts
from tests.support.images import Manifest, multi_platform, oci_artifact, oci_image, oci_index
from tests.support.pushing import assert_pullable, pull, push
from tests.support.registries import Registry
from tests.support.registry_client import RegistryClient
from tests.support.store_tree import TREE
from tests.support.store_tree import tags as tags_in
from tests.support.token_server import TokenServer
from tests.support.waiting import wait_until

ALL: dict[str, Any] = {"backfill": Policy.ALL}


def wait_finished(replica: Told) -> None:
    wait_until(lambda: replica.replication.repair.backfill.is_finished, 20, "backfilled")


def test_a_retag_and_a_deletion_are_repaired(primary: Registry) -> None:
    """C17: docker-registry never tells of a retag by another digest's PUT that was lost, nor of a
    tag that went: a comparison finds both, and what came and went here is what is there; the next
    one finds the manifest that the tag named.
    """
    direct = RegistryClient(primary.url)
    images = {tag: oci_image(f"real-{tag}") for tag in ("v1", "v2", "v3")}
    for tag, image in images.items():
        push(direct, REPOSITORY, image, tag)
    with told(primary.url, replication=ALL) as replica:
        wait_finished(replica)
        assert replica.tags == {tag: image.digest for tag, image in images.items()}
        moved = oci_image("real-moved")
        push(direct, REPOSITORY, moved, "v1")
        direct.delete(f"/v2/{REPOSITORY}/manifests/{images['v2'].digest}").expect(202)
        assert pull(direct, REPOSITORY, "v2").status == 404
        assert replica.reconcile() is RoundEnd.COMPLETE
        assert replica.findings == {Finding.CHANGED: 1, Finding.GONE: 1}
        wait_until(lambda: any(each.end is CopyEnd.FAILED for each in replica.entries()))
        replica.advance(7)
        replica.wait_quiet()
        assert replica.tags == {"v1": moved.digest, "v3": images["v3"].digest}
        assert_pullable(replica.running.client, REPOSITORY, moved, "v1")
        assert pull(replica.running.client, REPOSITORY, "v2").status == 404
        assert replica.reconcile() is RoundEnd.COMPLETE
        assert replica.findings == {
            Finding.CHANGED: 1,
            Finding.GONE: 1,
            Finding.MANIFEST_GONE: 1,
        }
        wait_until(lambda: replica.entries()[-1].end is CopyEnd.FAILED)
        replica.advance(7)
        replica.wait_quiet()
        assert pull(replica.running.client, REPOSITORY, images["v2"].digest).status == 404
        assert pull(replica.running.client, REPOSITORY, images["v1"].digest).status == 200


def test_a_backfill_of_many_repositories(primary: Registry) -> None:
    """More repositories than docker-registry lists in one page are all copied."""
    direct = RegistryClient(primary.url)
    image = oci_artifact("everywhere")
    names = [f"many/app-{number:03}" for number in range(101)]
    push(direct, names[0], image, "v1")
    folder = primary.storage / TREE / "repositories"
    for name in names[1:]:  # as pushes would leave it
        shutil.copytree(folder / names[0], folder / name)
    index = multi_platform("real")
    push(direct, REPOSITORY, index, "v1")
    with told(primary.url, replication=ALL) as replica:
        wait_finished(replica)
        assert all(tags_in(replica.running.store, name) for name in names)
        status = replica.replication.repair.backfill.status
        assert (status.done, status.total) == (102, 102)
        assert_pullable(replica.running.client, REPOSITORY, index, "v1")


def test_referrers_without_an_api(primary: Registry) -> None:
    """docker-registry has no referrers API: what clients pushed under the fallback tag comes along
    with the image, whatever the patterns of tags say.
    """
    direct = RegistryClient(primary.url)
    image = oci_image("signed")
    push(direct, REPOSITORY, image, "v1")
    signature = oci_artifact("signature", subject=image)
    index: Manifest = oci_index([signature])
    fallback = image.digest.replace(":", "-")
    push(direct, REPOSITORY, index, fallback)
    with told(primary.url, replication={**ALL, "tags": ("v*",)}) as replica:
        wait_finished(replica)
        assert replica.tags == {"v1": image.digest, fallback: index.digest}
        assert pull(replica.running.client, REPOSITORY, "v1").status == 200
        primary.stop()
        assert_pullable(replica.running.client, REPOSITORY, signature)


@pytest.mark.parametrize(("username", "is_open"), [("admin", True), ("alice", False)])
def test_a_catalogue_behind_tokens(
    token_primary: Registry, tokens: TokenServer, accounts: Accounts, username: str, is_open: bool
) -> None:
    """Our own identity asks for a token for the catalogue; one that isn't given it looks at what is
    to be watched, as far as it may.
    """
    direct = RegistryClient(token_primary.url, accounts.credentials_of("admin"))
    push(direct, "alice/app", oci_image("alice's"), "v1")
    push(direct, "bob/app", oci_image("bob's"), "v1")
    own = accounts.credentials_of(username)
    primary = {
        "trusted_origins": (f"http://{tokens.address}",),
        "username": own.username,
        "password": Secret(own.password),
    }
    watch = ("alice/app", "bob/app")
    with told(token_primary.url, primary=primary, replication={**ALL, "watch": watch}) as replica:
        wait_finished(replica)
        assert tags_in(replica.running.store, "alice/app")
        assert bool(tags_in(replica.running.store, "bob/app")) is is_open
        overview = replica.replication.repair.reconciler._there.catalogue.overview()
        assert replica.running.thread.run(overview).is_open is is_open
