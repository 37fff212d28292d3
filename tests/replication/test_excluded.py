"""Repositories of which nothing is ever copied: the hub's own."""

from typing import Any

import pytest

from config import Backfill, Duration
from proxy.events.event import ManifestPushed
from proxy.oci.digest import Digest
from proxy.oci.reference import Repository, Tag
from tests.replication.copying import REPOSITORY, Told, told
from tests.support.images import Manifest, oci_image
from tests.support.pushing import assert_pullable, push
from tests.support.registries import Registry
from tests.support.registry_client import RegistryClient
from tests.support.store_tree import tags
from tests.support.waiting import wait_until

OWN = "proxima/sentinel"
LOOKS_AT_ALL: dict[str, Any] = {"backfill": Backfill.ALL, "watch": (OWN,)}


def _pushed(primary: Registry, name: str, tag: str) -> Manifest:
    """Push an image to both repositories."""
    image = oci_image(name)
    for repository in (OWN, REPOSITORY):
        push(RegistryClient(primary.url), repository, image, tag)
    return image


def _tell(replica: Told, image: Manifest, tag: str) -> None:
    """Tell of a push to both repositories."""
    digest = Digest.parse(image.digest)
    events = [ManifestPushed(Repository(name), Tag(tag), digest) for name in (OWN, REPOSITORY)]
    at = replica.running.clock.wall()
    replica.running.thread.run(replica.replication.journal.learn(events, at))


def _backfilled(replica: Told) -> None:
    wait_until(lambda: replica.replication.repair.backfill.is_finished, 20, "backfilled")


@pytest.mark.parametrize("excluded", [(), (OWN,)], ids=["copied", "excluded"])
def test_nothing_of_it_is_copied(primary: Registry, excluded: tuple[str, ...]) -> None:
    """Neither backfill, events nor reconcile copy what is excluded, though the primary lists it,
    tells of it, and it is watched; all of them would copy it otherwise.
    """
    backfilled = _pushed(primary, "before", "v1")
    with told(primary.url, replication={**LOOKS_AT_ALL, "excluded": excluded}) as replica:
        _backfilled(replica)
        pushed = _pushed(primary, "told", "v2")
        _tell(replica, pushed, "v2")
        wait_until(lambda: "v2" in replica.tags, 10, "the event's copy")
        replica.wait_quiet()
        lost = _pushed(primary, "lost", "v3")
        replica.reconcile()
        replica.wait_quiet()
        names = {"v1": backfilled.digest, "v2": pushed.digest, "v3": lost.digest}
        assert replica.tags == names
        assert tags(replica.running.store, OWN) == ({} if excluded else names)
        touched = {str(entry.repository) for entry in replica.entries()}
        assert (OWN in touched) is not excluded


def test_clients_pull_it_as_ever(primary: Registry) -> None:
    """A client's pull of what is excluded is filled and kept; later events leave it to pulls."""
    image = _pushed(primary, "pulled", "v1")
    excluded = {**LOOKS_AT_ALL, "excluded": (OWN,)}
    always_asks = {"ttl": Duration(0.0)}
    with told(primary.url, replication=excluded, tags=always_asks) as replica:
        _backfilled(replica)
        assert_pullable(replica.running.client, OWN, image, "v1")
        assert tags(replica.running.store, OWN) == {"v1": image.digest}
        moved = _pushed(primary, "moved", "v1")
        _tell(replica, moved, "v1")
        wait_until(lambda: replica.tags == {"v1": moved.digest}, 10, "the event's copy")
        replica.reconcile()
        replica.wait_quiet()
        assert OWN not in {str(entry.repository) for entry in replica.entries()}
        assert_pullable(replica.running.client, OWN, moved, "v1")
