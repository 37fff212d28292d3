"""A process that does the store's real work, once for each order, and may be killed in its middle.

It imports everything first and forks for each order, so that a sweep over hundreds of kills costs
no start. An order is a line of JSON on stdin; the child's pid comes back, it waits for the line
`go`, and its exit status comes back (negative: the signal that ended it).

With `inline` the store's threads are replaced by calls on the spot: system calls then come in one
fixed order, so that "the N-th" is the same one in each run.
"""

import asyncio
import concurrent.futures.thread
import json
import os
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.events.cursor import Cursor
from proxy.oci.caller import ANONYMOUS
from proxy.oci.descriptor import OCTET_STREAM
from proxy.oci.digest import Digest
from proxy.oci.errors import Unavailable
from proxy.oci.reference import Tag
from proxy.oci.request import BlobPull, ManifestPull
from proxy.registry import breaks, flight_file, spool, store
from proxy.registry import segments as segments_module
from proxy.registry.bringing import Bringer
from proxy.registry.capacity import Capacity
from proxy.registry.clock import SystemClock
from proxy.registry.layout import LinkKind
from proxy.registry.orders import Order
from proxy.registry.purge import Purger
from proxy.registry.sidecar import Sidecar
from proxy.registry.tagbook import TagBook
from proxy.registry.uploads import UploadCopies
from proxy.replication.copying import Ahead, Copy, Means
from proxy.replication.journal import Journal
from proxy.replication.work import Job, Kind, Target, Trigger
from tests.registry_store.ground import (
    A,
    B,
    Ground,
    Heard,
    MemoryPrimary,
    broken_after,
    opened_ground,
    read_all,
)
from tests.support.layers import random_bytes

BLOB = random_bytes(300_000, "blob")
PUSHED = random_bytes(150_000, "pushed")
LARGE = random_bytes(700_000, "large")
LAYER = {"mediaType": OCTET_STREAM, "digest": str(Digest.of(LARGE)), "size": len(LARGE)}
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [LAYER]}).encode()
TAG = Tag("1.0")


@dataclass(slots=True)
class Bench:
    """What a piece of work has at hand."""

    ground: Ground
    sidecar: Sidecar
    book: TagBook
    copies: UploadCopies


async def fill(bench: Bench) -> None:
    """A blob that breaks once on its way, a manifest, a tag, a row."""
    ground = bench.ground
    ground.primary.send = broken_after(100_000)
    assert await read_all(await ground.fill.open(BlobPull(A, Digest.of(BLOB)))) == BLOB
    assert await read_all(await ground.fill.open(ManifestPull(A, Digest.of(MANIFEST)))) == MANIFEST
    await ended(ground)
    await bench.book.apply(A, TAG, Digest.of(MANIFEST), SystemClock().now())
    await bench.sidecar.flush()


async def segments(bench: Bench) -> None:
    """A blob that its manifest announces as large, in segments of which one breaks."""
    ground = bench.ground
    assert await read_all(await ground.fill.open(ManifestPull(A, Digest.of(MANIFEST)))) == MANIFEST
    ground.primary.send = broken_after(50_000)
    assert await read_all(await ground.fill.open(BlobPull(A, Digest.of(LARGE)))) == LARGE
    await ended(ground)


async def interrupt(bench: Bench) -> None:
    """A large blob whose link stays away after a while; it goes on from its mark."""
    ground = bench.ground
    assert await read_all(await ground.fill.open(ManifestPull(A, Digest.of(MANIFEST)))) == MANIFEST
    ground.primary.gives_up_after = 400_000
    with suppress(Unavailable):
        await read_all(await ground.fill.open(BlobPull(A, Digest.of(LARGE))))
    await ended(ground)
    ground.primary.gives_up_after = None
    before = ground.primary.sent_bytes
    assert await read_all(await ground.fill.open(BlobPull(A, Digest.of(LARGE)))) == LARGE
    assert ground.primary.sent_bytes - before < len(LARGE)
    await ended(ground)


async def ended(ground: Ground) -> None:
    while ground.fill.flights:
        await asyncio.sleep(0.001)


async def share(bench: Bench) -> None:
    """A second repository gets a link to what is here."""
    await fill(bench)
    assert await read_all(await bench.ground.fill.open(BlobPull(B, Digest.of(BLOB)))) == BLOB


async def push(bench: Bench) -> None:
    """An upload that is cut back, goes on and is kept."""
    copy = await bench.copies.begin()
    assert copy is not None
    await bench.copies.add(copy, PUSHED[:100_000])
    await bench.copies.cut_back(copy, 60_000)
    await bench.copies.add(copy, PUSHED[60_000:])
    assert await bench.copies.keep(copy, A, Digest.of(PUSHED))


async def retag(bench: Bench) -> None:
    """A tag moves over more digests than its history holds, and back."""
    for number in (*range(12), 0):
        await bench.book.apply(A, TAG, Digest.of(bytes([number])), SystemClock().now())
    await bench.book.apply(A, TAG, Digest.of(MANIFEST), SystemClock().now())
    await fill(bench)


async def mend(bench: Bench) -> None:
    """Damaged bytes are set aside and fetched again."""
    await fill(bench)
    path = bench.ground.tree.layout.data(Digest.of(BLOB))
    path.write_bytes(BLOB[:-1])
    os.utime(path, (1, 1))
    for _ in range(2):
        try:
            await read_all(await bench.ground.fill.open(BlobPull(A, Digest.of(BLOB))))
        except Exception:  # noqa: BLE001  # the first read finds the damage
            await asyncio.sleep(0.02)


async def delete(bench: Bench) -> None:
    """A blob, a manifest and a tag are deleted."""
    await fill(bench)
    tree = bench.ground.tree
    await tree.drop_link(A, LinkKind.LAYER, Digest.of(BLOB))
    await tree.drop_link(A, LinkKind.MANIFEST, Digest.of(MANIFEST))
    await bench.book.drop(A, TAG)
    await bench.sidecar.flush()


async def evict(bench: Bench) -> None:
    """Everything is evicted, and refilled by the next pulls."""
    ground = bench.ground
    capacity = Capacity(ground.store, bench.sidecar, SystemClock(), ground.heard.telemetry)
    await fill(bench)
    await capacity.usage.write()
    assert await capacity._evictor.trim(1 << 30) >= len(BLOB)
    assert await read_all(await ground.fill.open(BlobPull(A, Digest.of(BLOB)))) == BLOB
    assert await read_all(await ground.fill.open(ManifestPull(A, Digest.of(MANIFEST)))) == MANIFEST
    await ended(ground)
    await capacity.close()


async def purge(bench: Bench) -> None:
    """A repository is purged, and pulled from again."""
    ground = bench.ground
    await fill(bench)
    purger = Purger(ground.tree, bench.book, bench.sidecar, ground.fill, ground.store.forget)
    async for _ in purger.run(Order(references=(str(A),))):
        pass
    await bench.sidecar.flush()
    assert await read_all(await ground.fill.open(BlobPull(A, Digest.of(BLOB)))) == BLOB


async def replicate(bench: Bench) -> None:
    """An event is taken, what it names is copied, and the job is done."""
    ground, clock = bench.ground, SystemClock()
    fetcher, bringer = (
        ground.fill._fetcher,
        Bringer(ground.fill, ground.store, ground.fill.settled, ANONYMOUS),
    )
    journal = Journal(bench.sidecar, clock, lambda _event, _at: [])
    await journal.open()
    event_job = Job(Target(Kind.TAG, A, TAG), Trigger.EVENT, clock.wall())
    await journal.take([event_job], Cursor("epoch", 1))
    (job,) = await journal.hand_out(1)
    fetched = await fetcher.manifest(ManifestPull(A, Digest.of(MANIFEST)))
    whole = (ground.store, ground.fill, fetcher, bringer, ANONYMOUS)
    means = Means(*whole, never_evicted, asyncio.Semaphore(4), Ahead())
    await Copy(means, A, (), returns_evicted=True).of(fetched)
    assert await bench.book.keep(A, TAG, Digest.of(MANIFEST), clock.now())
    assert await journal.done(job)


async def never_evicted(_digest: Digest) -> bool:
    return False


async def start(bench: Bench) -> None:
    """Nothing but a start and an end."""


WORKS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    work.__name__: work
    for work in (
        *(fill, segments, interrupt, share, push, retag, mend, delete),
        *(evict, purge, replicate, start),
    )
}


class Inline(Executor):
    """Runs work on the spot."""

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(work(*given, **named))
        except Exception as exc:  # noqa: BLE001  # it is the future's
            future.set_exception(exc)
        return future


async def do(name: str, root: Path, *, is_inline: bool) -> None:
    """Open the store at *root*, do one work and close it."""
    primary, heard = MemoryPrimary(), Heard()
    primary.add(BLOB, A, B)
    primary.add(MANIFEST, A)
    primary.add(LARGE, A)
    make_small()
    sidecar = Sidecar(root / "proxima.sqlite")
    executor = Inline() if is_inline else None
    if executor is not None:
        sidecar._thread = executor  # type: ignore[assignment]
    async with opened_ground(root, primary, heard, executor=executor) as ground:
        await sidecar.open()
        book = TagBook(ground.tree, sidecar, SystemClock(), heard.telemetry.log)
        metrics = heard.telemetry.metrics
        copies = UploadCopies(ground.store, 1 << 30, SystemClock(), metrics)
        await WORKS[name](Bench(ground, sidecar, book, copies))
        await copies.close()
        await sidecar.close()


def make_small(put: Callable[[object, str, object], None] = setattr) -> None:
    """Let what happens to large blobs happen to small ones."""
    put(spool, "SYNC_EVERY_BYTES", 64 << 10)
    put(segments_module, "LONGEST_BYTES", 100_000)
    put(segments_module, "SHORTEST_BYTES", 40_000)
    put(store, "LONGEST_BYTES", 100_000)
    put(flight_file, "WORTH_KEEPING_BYTES", 64 << 10)
    put(breaks, "WAIT_AFTER_BREAK_SECONDS", (0.0, 0.0, 0.0))


def serve() -> None:
    """Do what stdin orders until its end."""
    for line in sys.stdin:
        order = json.loads(line)
        gate, opener = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(opener)
            os.read(gate, 1)
            run(order)
        os.close(gate)
        print(child, flush=True)
        sys.stdin.readline()
        os.write(opener, b"!")
        os.close(opener)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run(order: dict[str, Any]) -> None:
    """Do one order in this process, and end it."""
    try:
        asyncio.run(do(order["work"], Path(order["root"]), is_inline=order["inline"]))
    except BaseException as exc:  # noqa: BLE001  # a child that fails must end as failed
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    assert concurrent.futures.thread  # imported before the fork, not in the middle of the work
    serve()
