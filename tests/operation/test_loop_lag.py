"""Loop lag stays under 100 ms while a replica hashes, syncs and evicts: measured from within.

The replica is a process of its own. What a second, idle one suffers at the same moments, and time
for which it doesn't compute at all, are the machine's doing and don't count; calls that could block
without computing are told by name in `test_event_loop`.
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proxy.oci.manifest import MAX_MANIFEST_BYTES
from proxy.registry.collect import MIN_GRACE_SECONDS
from tests.fills.calls import blob_path, manifest_path
from tests.fills.large import large_image
from tests.operation.old_store import CONTENT_BYTES, old_store, put_contents
from tests.support.command_line import Proxima
from tests.support.hostile import HostileUpstream
from tests.support.images import OCI_MANIFEST, Manifest, manifest_of
from tests.support.lag_watch import Look, looks_in, stacks_of, watch
from tests.support.layers import Blob, random_blob
from tests.support.processes import Process, Program
from tests.support.pushing import push_blob
from tests.support.registry_client import RegistryClient
from tests.support.replica import PROJECT, Replica, replica
from tests.support.store_tree import blob_path as stored_path
from tests.support.store_tree import visible_blobs
from tests.support.waiting import wait_until

REPOSITORY = "team/app"
LONGEST_SECONDS = 0.1
LARGE = 64 << 20
LINKS, FEW_LINKS = 50_000, 5_000
CONTENTS, FEW_CONTENTS = 3_000, 400
FEW_LOOKS = 50
WATCHED = (sys.executable, "-m", "tests.support.lag_watch")


@contextmanager
def watched(primary: str, folder: Path, **sections: Any) -> Iterator[Replica]:
    """Run a replica; check at its end that its loop was never held up for long."""
    looks, idle = folder / "looks", folder / "idle"
    beside = Process(Program((*WATCHED, str(idle)), folder / "idle.log", folder=PROJECT))
    try:
        with replica(primary, prefix=(*WATCHED, str(looks)), **sections) as running:
            yield running
            assert running.stop() == 0
    finally:
        beside.stop()
    _check(looks, looks_in(idle))


def _check(file: Path, idle: list[Look]) -> None:
    looks = looks_in(file)
    assert min(len(looks), len(idle)) > FEW_LOOKS
    late = [look for look in looks if look.held_up_seconds(idle) >= LONGEST_SECONDS]
    assert not late, stacks_of(file).read_text()


def _pull_together(url: str, path: str, content: Blob, clients: int) -> None:
    bodies: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: bodies.append(RegistryClient(url).get(path).body))
        for _ in range(clients)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert bodies == [content.data] * clients


def _longest_manifest() -> Manifest:
    """Give a manifest of nearly as many bytes as one may have, which name as many layers."""
    layer = random_blob(1).descriptor()
    count = (MAX_MANIFEST_BYTES - 1000) // (len(json.dumps(layer, indent=3)) + 60)
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": layer}
    return manifest_of(document | {"layers": [layer] * count}, OCI_MANIFEST)


def _compute(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def test_a_loop_that_is_held_up_is_seen(tmp_path: Path):
    """The watch tells of every hold-up, and of what all threads did meanwhile."""
    file = tmp_path / "looks"
    watching = asyncio.create_task(watch(file))
    for _ in range(3):
        await asyncio.sleep(0.03)
        _compute(LONGEST_SECONDS + 0.02)
    await asyncio.sleep(0.03)
    watching.cancel()
    await asyncio.wait((watching,))
    looks = looks_in(file)
    late = [look for look in looks if look.held_up_seconds([]) >= LONGEST_SECONDS]
    assert len(late) == 3
    assert "in _compute" in stacks_of(file).read_text()
    assert not [look for look in looks if look.held_up_seconds(late) >= LONGEST_SECONDS]


def test_clients_hold_up_nobody(upstream: HostileUpstream, tmp_path: Path):
    """C30, F23: large fills in segments and whole, first serves, pushes, the largest manifest."""
    image = upstream.contents.add(REPOSITORY, large_image(LARGE), "large")
    told, untold = image.blobs[1], random_blob(LARGE, "untold")
    upstream.contents.add_blob(REPOSITORY, untold)
    longest = upstream.contents.add(REPOSITORY, _longest_manifest(), "longest")
    with watched(upstream.url, tmp_path) as running:
        client = RegistryClient(running.url)
        client.get(manifest_path(REPOSITORY, "large")).expect(200)
        for content in (told, untold):
            path = blob_path(REPOSITORY, content.digest)
            _pull_together(running.url, path, content, 3)
            running.wait_event("fill.committed", digest=content.digest)
            os.utime(stored_path(running.store, content.digest))  # so that it is hashed once more
            _pull_together(running.url, path, content, 2)
        for _ in range(3):
            path = manifest_path(REPOSITORY, "longest")
            assert client.get(path, {"Accept": OCI_MANIFEST}).expect(200).body == longest.data
        push_blob(client, REPOSITORY, random_blob(16 << 20, "pushed"))
    assert len(upstream.requests("GET", blob_path(REPOSITORY, told.digest))) > 1


def test_verbs_and_the_scrub_hold_up_nobody(
    upstream: HostileUpstream, tmp_path: Path, root: Path, proxima: Proxima
):
    """C30, F23: verify, gc over 50,000 links, adopt, and the scrub meanwhile."""
    store, other = root / "store", root / "other"
    old_store(store, LINKS, FEW_CONTENTS)
    old_at = time.time() + MIN_GRACE_SECONDS + 0.1
    put_contents(other, 100, "adopted")
    large = random_blob(LARGE, "large")
    upstream.contents.add_blob(REPOSITORY, large)
    with watched(upstream.url, tmp_path, store={"root": store, "scrub_within": "1s"}) as running:
        client = RegistryClient(running.url)
        client.get(blob_path(REPOSITORY, large.digest)).expect(200)
        running.wait_event("fill.committed", digest=large.digest)
        verified = proxima("verify", "--store", store, "--json").result
        assert (verified["links"], verified["contents"]) == (LINKS + 1, FEW_CONTENTS + 1)
        adopted = proxima("adopt", "--store", store, other, "--json").result
        assert adopted["adopted"] == 100
        wait_until(lambda: time.time() > old_at, what="what was there may be collected")
        collected = proxima("gc", "--store", store, "--grace", "5s", "--json").result
        assert collected["links"] == LINKS + 1
        assert collected["removed"] >= FEW_CONTENTS
        running.wait_event("scrub.ended")


def test_start_and_eviction_hold_up_nobody(upstream: HostileUpstream, tmp_path: Path, root: Path):
    """C30, F23: a start on many links, the first count of what is there, most of it evicted."""
    store = root / "store"
    old_store(store, FEW_LINKS, CONTENTS)
    settings = {"root": store, "capacity": f"{CONTENTS * CONTENT_BYTES // 5}B"}
    with watched(upstream.url, tmp_path, store=settings) as running:
        counted = running.wait_event("store.counted", 20)
        assert counted["contents"] <= CONTENTS
        wait_until(lambda: len(visible_blobs(store)) <= CONTENTS // 5, 20, "most are evicted")
        assert running.metrics().value("proxima_evicted_contents_total") >= CONTENTS // 2
