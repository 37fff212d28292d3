"""`proxima gc`: what no repository links goes, and nothing else does."""

import asyncio
import threading
from contextlib import aclosing

import pytest

from proxy.oci.digest import Digest
from proxy.registry import collect
from proxy.registry.collect import Collector, Marks
from proxy.registry.layout import LinkKind
from proxy.registry.orders import Order
from proxy.registry.progress import Done
from proxy.registry.tree import Tree
from tests.registry_store.ground import A, Heard
from tests.support.store_tree import blob_path, visible_blobs
from tests.verbs.conftest import pull
from tests.verbs.stores import layer_of, link_path, put_bytes

NOW = Order(grace_seconds=0.0)


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Let bytes be old as soon as they are there."""
    monkeypatch.setattr(collect, "MIN_GRACE_SECONDS", 0.0)


@pytest.mark.parametrize("is_running", [True, False])
def test_bytes_without_a_link_go(proxima, warm, life, images, is_running):
    """What nothing links goes, a dry run says so beforehand, all that is linked stays."""
    if not is_running:
        life.close()
    before = set(visible_blobs(warm.store))
    garbage = put_bytes(warm.store, b"garbage")
    call = ("gc", "--grace", "0s", "--store", warm.store, "--json")
    dry = proxima(*call, "--dry-run")
    assert dry.deeds("would_remove") == [garbage]
    assert blob_path(warm.store, garbage).exists()
    wet = proxima(*call)
    assert (wet.status, wet.deeds("removed")) == (0, [garbage])
    assert wet.result["removed_bytes"] == len(b"garbage")
    assert not blob_path(warm.store, garbage).parent.exists()
    assert set(visible_blobs(warm.store)) == before
    if is_running:
        pull(warm, images.single, "1.0")


def test_young_bytes_stay(proxima, warm):
    """Somebody may be about to link what has just come."""
    garbage = put_bytes(warm.store, b"young")
    assert proxima("gc", "--store", warm.store, "--json").deeds("removed") == []
    assert blob_path(warm.store, garbage).exists()


def test_a_damaged_link_holds_its_bytes(proxima, warm, images):
    """A link counts by its path: what can't be read, or says something else, is verify's to end."""
    link_path(warm.store, "_layers", layer_of(images.single)).write_text("nonsense")
    assert proxima("gc", "--grace", "0s", "--store", warm.store, "--json").deeds("removed") == []


def test_empty_folders_and_old_quarantine_go(proxima, warm, images, monkeypatch):
    """What was set aside long ago goes, and so do folders that are empty; those that this very run
    has emptied with the next.
    """
    monkeypatch.setattr(collect, "QUARANTINE_SECONDS", -1.0)
    (warm.store / "quarantine" / "old").write_bytes(b"rotten")
    proxima("purge", "team/app", "--store", warm.store)
    outcome = proxima("gc", "--grace", "0s", "--store", warm.store, "--json")
    assert "quarantine/old" in outcome.deeds("removed")
    folders = proxima("gc", "--grace", "0s", "--store", warm.store, "--json").result["folders"]
    assert min(folders, outcome.result["folders"]) > 0
    for part in ("blobs", "repositories"):
        assert list((warm.store / "docker/registry/v2" / part).iterdir()) == []
    pull(warm, images.single, "1.0")  # the folders come back


def test_purged_images_go(proxima, warm, images):
    """After a purge of one tag's manifest its bytes go, those of the other image stay."""
    proxima("purge", f"team/app@{images.single.digest}", "--store", warm.store)
    outcome = proxima("gc", "--grace", "0s", "--store", warm.store, "--json")
    assert outcome.deeds("removed") == [images.single.digest]
    pull(warm, images.many, "many")


# --- beside others --------------------------------------------------------------------------------


@pytest.fixture
async def tree(tmp_path):
    heard = Heard()
    tree = Tree(tmp_path / "store", heard.telemetry)
    await tree.open()
    yield tree
    await tree.close()
    heard.close()


async def removed(collector: Collector) -> list[str]:
    async with aclosing(collector.run(NOW)) as events:
        return [each.what async for each in events if isinstance(each, Done)]


async def test_a_link_that_is_written_meanwhile_holds_its_bytes(tree):
    """F26: bytes that are linked between the walk and their removal are put back."""
    digest = Digest.parse(put_bytes(tree.layout.root, b"shared"))
    linking = []

    def forget(found: Digest) -> None:
        linking.append(asyncio.create_task(tree.put_link(A, LinkKind.LAYER, found)))

    assert await removed(Collector(tree, forget=forget)) == []
    assert len(linking) == 1
    await linking[0]
    assert tree.layout.data(digest).read_bytes() == b"shared"
    assert await removed(Collector(tree)) == []


async def test_a_link_that_is_being_written_holds_its_bytes(tree, monkeypatch):
    """F26: a link whose writing began before the walk, and isn't seen by it, holds its bytes."""
    digest = Digest.parse(put_bytes(tree.layout.root, b"shared"))
    gate = threading.Event()
    real = tree.run

    async def slow(work, *arguments):
        if "write_file" in str(work):
            await asyncio.to_thread(gate.wait, 10)
        return await real(work, *arguments)

    monkeypatch.setattr(tree, "run", slow)
    linking = asyncio.create_task(tree.put_link(A, LinkKind.LAYER, digest))
    await asyncio.sleep(0)
    assert await removed(Collector(tree)) == []
    assert not linking.done()
    gate.set()
    await linking
    assert tree.layout.data(digest).exists()


async def test_a_file_that_takes_the_place_meanwhile_stays(tree):
    """F26: a content that comes again while its old bytes are collected isn't taken for them."""
    digest = Digest.parse(put_bytes(tree.layout.root, b"again"))
    path = tree.layout.data(digest)

    def replace(_: Digest) -> None:
        other = path.with_name("other")
        other.write_bytes(b"again")
        other.rename(path)

    assert await removed(Collector(tree, forget=replace)) == []
    assert path.read_bytes() == b"again"


async def test_what_is_on_its_way_stays(tree):
    """A flight that is about to bring the same bytes keeps them here."""
    digest = Digest.parse(put_bytes(tree.layout.root, b"coming"))
    assert await removed(Collector(tree, is_wanted=lambda found: found == digest)) == []
    assert await removed(Collector(tree)) == [str(digest)]


def test_pulls_purges_and_collections_at_once(proxima, warm, images, monkeypatch):
    """F26: while an image is pulled and purged again and again, collections take nothing from under
    a link, and no answer is short or wrong.
    """
    monkeypatch.setattr(collect, "MIN_GRACE_SECONDS", 0.2)
    errors: list[BaseException] = []
    is_over = threading.Event()

    def pull_on() -> None:
        try:
            while not is_over.is_set():
                pull(warm, images.many, "many")
        except BaseException as exc:  # noqa: BLE001  # the test's end tells of it
            errors.append(exc)

    puller = threading.Thread(target=pull_on)
    puller.start()
    removals = 0
    try:
        for _ in range(12):
            for reference in (f"team/app@{layer_of(images.many.children[0])}", "team/app"):
                proxima("purge", reference, "--store", warm.store)
                outcome = proxima("gc", "--grace", "0s", "--store", warm.store, "--json")
                assert outcome.status == 0, outcome
                removals += len(outcome.deeds("removed"))
    finally:
        is_over.set()
        puller.join()
    assert errors == []
    pull(warm, images.many, "many")
    result = proxima("verify", "--store", warm.store, "--json").result
    assert (result["good"], result["evicted"]) == (True, 0)
    assert removals > 0


def test_marks_know_what_was_added():
    """Every digest that was added is in it, no other is."""
    marks = Marks()
    inside = [Digest.of(str(number).encode()) for number in range(2_000)]
    outside = [Digest.of(f"not {number}".encode()) for number in range(2_000)]
    for digest in inside:
        marks.add(digest)
    assert all(digest in marks for digest in sorted(inside, key=str))
    assert not any(digest in marks for digest in sorted(outside, key=str))
