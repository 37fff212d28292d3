"""The log says `evicted` of what was complete and no longer is, `complete` once it is again."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from proxy.oci.digest import Digest
from proxy.registry.orders import Order
from proxy.replication import presence
from proxy.replication.history import Entry, Wanted
from proxy.replication.work import Kind
from proxy.telemetry.labels import CopyEnd
from tests.fills.calls import blob_path
from tests.replication.copying import REPOSITORY, Told, told
from tests.support.hostile import HostileUpstream
from tests.support.images import Manifest, oci_image
from tests.support.layers import random_blob, random_layer
from tests.support.pushing import assert_pullable
from tests.support.store_tree import visible_blobs
from tests.support.waiting import wait_until

LAYER_BYTES = 192 << 10
CAPACITY = 10 * LAYER_BYTES
MANY = 10_000


@pytest.fixture
def replica(upstream: HostileUpstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    monkeypatch.setattr(presence, "LOOK_EVERY_SECONDS", 3600.0)  # the tests say when
    with told(upstream.url, store={"capacity": CAPACITY}) as found:
        yield found


@pytest.fixture
def crowd(replica: Told, upstream: HostileUpstream) -> Callable[[str], None]:
    """Gives a function that pulls other blobs until a content is evicted."""
    numbers = count()

    def crowded(digest: str) -> None:
        for _ in range(40):
            other = random_blob(LAYER_BYTES, f"other-{next(numbers)}")
            upstream.contents.add_blob(REPOSITORY, other)
            replica.running.client.get(blob_path(REPOSITORY, other.digest)).expect(200)
            if digest not in visible_blobs(replica.running.store):
                return
        pytest.fail("nothing was evicted")

    return crowded


def image(name: str) -> Manifest:
    return oci_image(name, layers=[random_layer(LAYER_BYTES, name)])


def copied(replica: Told, upstream: HostileUpstream, content: Manifest, tag: str) -> None:
    upstream.contents.add(REPOSITORY, content, tag)
    replica.tell(tag)
    wait_until(lambda: end_of(replica, content) is CopyEnd.COMPLETE, 10, f"{tag} is complete")


def entry_of(replica: Told, content: Manifest) -> Entry | None:
    return next(iter(replica.entries(digest=content.digest)), None)


def end_of(replica: Told, content: Manifest) -> CopyEnd | None:
    entry = entry_of(replica, content)
    return None if entry is None else entry.end


def look(replica: Told) -> None:
    replica.running.thread.run(replica.replication.presence.look())


def test_an_eviction_is_told_and_a_pull_takes_it_back(
    replica: Told, upstream: HostileUpstream, crowd: Callable[[str], None]
) -> None:
    """The entry of an artifact whose layer was evicted says `evicted`, under the id that it had,
    to the hub too; the pull that brings the layer back makes it `complete` again.
    """
    content, other = image("evicted"), image("stays")
    copied(replica, upstream, content, "v1")
    copied(replica, upstream, other, "v2")
    assert_pullable(replica.running.client, REPOSITORY, other, "v2")
    look(replica)
    history = replica.replication.history
    before = entry_of(replica, content)
    assert before is not None
    replica.running.thread.run(history.reported(replica.entries()))
    crowd(content.blobs[-1].digest)
    look(replica)
    gone = entry_of(replica, content)
    assert gone is not None
    assert (gone.id, gone.end, gone.ended_at) == (before.id, CopyEnd.EVICTED, before.ended_at)
    assert replica.running.thread.run(history.unreported(10)) == [gone]
    assert end_of(replica, other) is CopyEnd.COMPLETE
    assert_pullable(replica.running.client, REPOSITORY, content, "v1")
    replica.running.wait_idle()
    look(replica)
    assert entry_of(replica, content) == before
    assert before in replica.running.thread.run(history.unreported(10))


def test_quarantined_bytes_count_as_gone(replica: Told, upstream: HostileUpstream) -> None:
    """An artifact of which a damaged layer was set aside isn't complete until it is here again."""
    content = image("damaged")
    copied(replica, upstream, content, "v1")
    layer = content.blobs[-1].digest
    tree = replica.running.replica._chain.store.tree
    replica.running.thread.run(tree.quarantine(Digest.parse(layer), "a test says so"))
    look(replica)
    assert end_of(replica, content) is CopyEnd.EVICTED
    replica.running.client.get(blob_path(REPOSITORY, layer)).expect(200)
    replica.running.wait_idle()
    look(replica)
    assert end_of(replica, content) is CopyEnd.COMPLETE


def test_what_was_deleted_isnt_complete_again(replica: Told, upstream: HostileUpstream) -> None:
    """Bytes that come back for another repository complete no artifact that was deleted here."""
    content = image("deleted")
    copied(replica, upstream, content, "v1")
    upstream.contents.repository(REPOSITORY).forget(content.digest)
    replica.tell(content.digest, kind=Kind.MANIFEST, is_deletion=True)
    wait_until(lambda: not replica.tags, 10, "the tag is gone")
    replica.wait_quiet()
    tree = replica.running.replica._chain.store.tree
    layer = Digest.parse(content.blobs[-1].digest)
    replica.running.thread.run(tree.quarantine(layer, "a test says so"))
    look(replica)
    upstream.contents.add("other", content, "v1")
    replica.running.client.get(blob_path("other", str(layer))).expect(200)
    replica.running.wait_idle()
    look(replica)
    ends = {each.what: each.end for each in replica.entries(digest=content.digest)}
    assert ends == {"image": CopyEnd.EVICTED, "deletion": CopyEnd.COMPLETE}


def test_what_is_purged_isnt_complete(replica: Told, upstream: HostileUpstream) -> None:
    """A purge leaves the bytes to `gc`, but the repository holds the image no more: the log says
    so without waiting for them to go.
    """
    content = image("purged")
    copied(replica, upstream, content, "v1")
    purger = replica.replication.workers._targets._here.purger

    async def purge() -> None:
        async for _ in purger.run(Order(references=(f"{REPOSITORY}@{content.digest}",))):
            pass

    replica.running.thread.run(purge())
    look(replica)
    assert end_of(replica, content) is CopyEnd.EVICTED
    assert content.digest in visible_blobs(replica.running.store)


def test_many_evictions_cost_little(replica: Told, upstream: HostileUpstream) -> None:
    """10,000 contents that leave at once cost one look at each artifact that they are parts of."""
    content = image("one of many")
    copied(replica, upstream, content, "v1")
    wait_until(lambda: replica.running.events("store.counted"), 10, "the first recount has ended")
    look(replica)
    usage = replica.running.replica._capacity.usage
    looked = replica.replication.presence

    async def many_go() -> int:
        for number in range(MANY):
            usage.added(Digest.of(b"%d" % number), 1, 1, is_pulled=False)
        await usage.write()
        parts = replica.replication.history.parts
        for number in range(MANY // 10):
            made_of = [Digest.of(b"%d" % (number * 10 + each)) for each in range(10)]
            parts.note(Digest.of(b"artifact %d" % number), made_of)
            await parts._sidecar.flush()
        await looked.look()
        for number in range(MANY):
            usage.removed(Digest.of(b"%d" % number), 1, is_evicted=True)
        return await looked.look()

    assert replica.running.thread.run(many_go()) == MANY // 10
    assert replica.running.thread.run(looked.look()) == 0
    found, _ = replica.running.thread.run(replica.replication.history.entries(Wanted()))
    assert [each.end for each in found] == [CopyEnd.COMPLETE]


def test_what_goes_while_it_is_looked_at_stays_doubtful(
    replica: Told, upstream: HostileUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer that leaves between the look at the disk and the note of it isn't missed."""
    content = image("goes meanwhile")
    copied(replica, upstream, content, "v1")
    history, running = replica.replication.history, replica.running.replica
    layer = Digest.parse(content.blobs[-1].digest)
    as_ever, went = history.of_artifact, []

    async def of_artifact(digest: Digest) -> list[Entry]:
        if not went:
            went.append(layer)
            await running._chain.store.tree.quarantine(layer, "a test says so")
            await running._capacity.usage.write()
        return await as_ever(digest)

    monkeypatch.setattr(history, "of_artifact", of_artifact)
    look(replica)
    assert went
    assert end_of(replica, content) is CopyEnd.EVICTED
