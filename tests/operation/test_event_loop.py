"""The event loop is never held up, and a replica that has ended has left nothing."""

import asyncio
import gc
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from proxy.oci.digest import Algorithm
from tests.operation.old_store import CONTENT_BYTES, old_store, put_contents
from tests.support import images
from tests.support.command_line import Proxima
from tests.support.hostile import BLOBS, Cut, HostileUpstream, hostile_upstream
from tests.support.layers import Blob, random_blob
from tests.support.raw_http import raw_connection, request_bytes
from tests.support.registry_client import RegistryClient
from tests.support.store_tree import blob_path as stored_path
from tests.support.store_tree import visible_blobs
from tests.support.waiting import wait_until
from tests.web.serving import LOOPS, Serving, serving

HOST = "127.0.0.1"
REPOSITORY = "team/app"
LOOP_THREAD = "replica"
LARGE = 48 << 20
LONGEST_SECONDS = 0.1
HELD_UP_SECONDS = 0.12
HASHED_ON_THE_LOOP = 64 << 10
BLOCKING_CALLS = (
    "fsync",
    "fdatasync",
    "posix_fallocate",
    "rename",
    "replace",
    "link",
    "unlink",
    "ftruncate",
    "pwrite",
    "write",
    "mkdir",
    "rmdir",
    "scandir",
    "listdir",
    "statvfs",
)
FEW_LINKS, CONTENTS = 2_000, 600


@dataclass(slots=True)
class Watch:
    """What ran on the loop of the replica: how long a callback, what it called, what it hashed."""

    longest_seconds: float = 0.0
    callbacks: int = 0
    calls: list[str] = field(default_factory=list)
    hashed_elsewhere_bytes: int = 0
    hashed_here: list[int] = field(default_factory=list)
    is_on: bool = True

    @property
    def is_here(self) -> bool:
        return self.is_on and threading.current_thread().name == LOOP_THREAD


class _Hasher:
    def __init__(self, hasher: Any, watch: Watch) -> None:
        self._hasher, self._watch = hasher, watch

    def update(self, data: bytes) -> None:
        if self._watch.is_here:
            self._watch.hashed_here.append(len(data))
        else:
            self._watch.hashed_elsewhere_bytes += len(data)
        self._hasher.update(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hasher, name)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watch the loop of the replica that the test starts.

    Time is that of the processor, so that a busy machine doesn't count; what could block without
    using it is told by name.
    """
    found = Watch()
    run, hasher = asyncio.Handle._run, Algorithm.hasher

    def timed(handle: asyncio.Handle) -> None:
        started_at = time.thread_time()
        run(handle)
        if found.is_here:
            found.callbacks += 1
            found.longest_seconds = max(found.longest_seconds, time.thread_time() - started_at)

    def told(name: str) -> Any:
        call = getattr(os, name)

        def calling(*arguments: Any, **options: Any) -> Any:
            if found.is_here:
                found.calls.append(name)
            return call(*arguments, **options)

        return calling

    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    monkeypatch.setattr(Algorithm, "hasher", lambda algorithm: _Hasher(hasher(algorithm), found))
    for name in BLOCKING_CALLS:
        monkeypatch.setattr(os, name, told(name))
    gc.collect()
    gc.freeze()  # what the tests before have left isn't the replica's to collect
    yield found
    gc.unfreeze()


def _blob_path(content: Blob) -> str:
    return f"/v2/{REPOSITORY}/blobs/{content.digest}"


def _pull_together(served: Serving, content: Blob, clients: int) -> None:
    """Pull a blob with several clients at once, reading as fast as one thread can."""
    threads = [
        threading.Thread(target=RegistryClient(served.url).get, args=(_blob_path(content),))
        for _ in range(clients)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def _push(client: RegistryClient, content: Blob) -> None:
    uploads = f"/v2/{REPOSITORY}/blobs/uploads/?digest={content.digest}"
    client.request("POST", uploads, {}, content.data).expect(201)


def test_no_callback_holds_up_the_loop(upstream: HostileUpstream, watch: Watch):
    """C30, F23: fills, pushes, first serves after a start: nothing long or blocking on the loop."""
    content = upstream.contents.add_blob(REPOSITORY, random_blob(LARGE, "large"))
    image = upstream.contents.add(REPOSITORY, images.multi_platform("loop"), "v1")
    with serving(upstream) as served:
        client = RegistryClient(served.url)
        _pull_together(served, content, 3)
        served.wait_event("fill.committed", digest=content.digest)
        for each in image.all_manifests():
            client.get(f"/v2/{REPOSITORY}/manifests/{each.digest}").expect(200)
        _push(client, random_blob(8 << 20, "pushed"))
        os.utime(stored_path(served.store, content.digest))  # so that it is hashed once more
        _pull_together(served, content, 2)
        watch.is_on = False
    _check(watch)
    assert watch.hashed_elsewhere_bytes >= 2 * LARGE + (8 << 20)


def test_no_work_on_the_store_holds_up_the_loop(
    upstream: HostileUpstream, watch: Watch, root: Path, proxima: Proxima
):
    """C30, F23: start, count, eviction, verify, scrub, adopt, gc: nothing long or blocking."""
    store, other = root / "store", root / "other"
    old_store(store, FEW_LINKS, CONTENTS)
    put_contents(other, 100, "adopted")
    limits = {"capacity": f"{CONTENTS * CONTENT_BYTES // 2}B", "scrub_within": "1s"}
    with serving(upstream, store={"root": store, **limits}) as served:
        served.wait_event("store.counted")
        wait_until(lambda: len(visible_blobs(store)) <= CONTENTS // 2, what="half is evicted")
        assert proxima("verify", "--store", store, "--json").result["links"] == FEW_LINKS
        assert proxima("adopt", "--store", store, other, "--json").result["adopted"] == 100
        assert proxima("gc", "--store", store, "--json").result["links"] == FEW_LINKS
        served.wait_event("scrub.ended")
        watch.is_on = False
    _check(watch)


def _check(watch: Watch) -> None:
    assert watch.callbacks > 100
    assert all(size < HASHED_ON_THE_LOOP for size in watch.hashed_here)
    but_the_logs = [call for call in watch.calls if call != "write"]
    assert but_the_logs == ["unlink"]  # of a socket left by another life
    assert watch.longest_seconds < LONGEST_SECONDS


@pytest.mark.parametrize("loop", LOOPS)
def test_lag_is_measured(upstream: HostileUpstream, loop: str):
    """C30, F23: a loop that is held up for longer than it may be shows in the metric, each time."""
    with serving(upstream, loop=loop) as served:

        def is_seen(times: int) -> bool:
            page = served.metrics()
            name = "proxima_loop_lag_seconds"
            late = page.value(f"{name}_count") - page.value(f"{name}_bucket", le="0.05")
            return late >= times

        wait_until(lambda: served.metrics().value("proxima_loop_lag_seconds_count") >= 1)
        for times in range(1, 6):
            served.thread.loop.call_soon_threadsafe(time.sleep, HELD_UP_SECONDS)
            wait_until(lambda times=times: is_seen(times), 5, "the lag is seen")


@pytest.fixture
def crowded() -> Iterator[HostileUpstream]:
    with hostile_upstream() as upstream:
        upstream.contents.add(REPOSITORY, images.multi_platform("left"), "v1")
        yield upstream


@pytest.mark.parametrize("loop", LOOPS)
def test_nothing_is_left_after_the_end(crowded: HostileUpstream, loop: str):
    """C30: after a run with pulls, pushes, faults and departures: no task, thread or descriptor."""
    with serving(crowded, loop=loop):
        pass  # whatever is opened once in a process is open now
    files, threads = _open_files(), _threads()
    with serving(crowded, loop=loop) as served:
        client = RegistryClient(served.url)
        for each in crowded.contents.repository(REPOSITORY).blobs:
            client.get(f"/v2/{REPOSITORY}/blobs/{each}").expect(200)
        client.get(f"/v2/{REPOSITORY}/manifests/v1").expect(200)
        client.get(f"/v2/{REPOSITORY}/tags/list").expect(200)
        client.get(f"/v2/{REPOSITORY}/manifests/absent").expect(404)
        _push(client, random_blob(100_000, "left"))
        client.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/").expect(202)
        _break_a_fill(crowded, client)
        _leave_half_way(crowded, served)
        served.stop()
        left = asyncio.run_coroutine_threadsafe(_other_tasks(), served.thread.loop).result(5)
        assert left == []
    wait_until(lambda: _threads() <= threads, what="as many threads as before")
    crowded.listener.reset_connections()
    wait_until(lambda: _open_files() <= files, what="as many descriptors as before")


def _break_a_fill(upstream: HostileUpstream, client: RegistryClient) -> None:
    broken = upstream.contents.add_blob(REPOSITORY, random_blob(300_000, "broken"))
    fault = upstream.inject(Cut(0), path=BLOBS, method="GET", times=None)
    with pytest.raises(IncompleteRead):
        client.get(_blob_path(broken))
    assert fault.fired
    upstream.heal()


def _leave_half_way(upstream: HostileUpstream, served: Serving) -> None:
    large = upstream.contents.add_blob(REPOSITORY, random_blob(24 << 20, "left early"))
    for _ in range(3):
        with raw_connection(served.address, receive_buffer_bytes=4096) as connection:
            connection.send(request_bytes("GET", _blob_path(large), HOST))
            assert connection.read(1)


async def _other_tasks() -> list[str]:
    """Give the tasks beside this one, once those that are about to end have done so."""
    for _ in range(100):
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if not tasks:
            return []
        await asyncio.sleep(0.02)
    return [repr(task) for task in tasks]


def _threads() -> int:
    """Count the replica's threads; those of the loop's own pool end with the loop's process."""
    names = [thread.name for thread in threading.enumerate()]
    return sum(name.startswith(("store", "sidecar", "replica")) for name in names)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
