"""`verify`: every content is hashed, every link read; what is wrong is told, or repaired.

Repair never fetches: wrong bytes are set aside, links that don't hold are removed, leftovers too;
a later pull brings back what is missing. A link without bytes is nothing wrong: it was evicted.
"""

import asyncio
import functools
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from itertools import islice
from pathlib import Path

from proxy.oci.errors import StoreUnavailable
from proxy.oci.reference import Repository, Tag
from proxy.registry import durable, walk
from proxy.registry.checks import Looked, look_at_content, look_at_link
from proxy.registry.hashing import Stopped
from proxy.registry.orders import Order
from proxy.registry.progress import Event, Events, Finding, Problem, Progress, Result
from proxy.registry.store import Store
from proxy.registry.tree import Tree
from proxy.registry.walk import LINK_KINDS, ContentFile, LinkFile, Role, Stray

PORTION_BYTES = 8 << 20
PORTION_FILES = 64
LINKS_AT_ONCE = 256
TELL_EVERY_SECONDS = 0.2
MAX_THREADS = 4

DropTag = Callable[[Repository, Tag], Awaitable[None]]


class Verifier:
    """One run over a tree; *drop_tag* and *store* are the running replica's, if one runs."""

    def __init__(self, tree: Tree, drop_tag: DropTag, store: Store | None = None) -> None:
        self._tree = tree
        self._drop_tag = drop_tag
        self._store = store
        self._threads = max(1, min(MAX_THREADS, os.cpu_count() or 1))
        self._is_stopped = threading.Event()
        self._counting = threading.Lock()
        self._read_bytes = 0
        self._total_bytes = 0
        self._counts: Counter[str] = Counter()
        self._open_findings = 0

    async def run(self, order: Order) -> Events:
        """Give what is found as it is found; the numbers at the end.

        Raises: StoreUnavailable: the tree can't be walked.
        """
        began_at = time.monotonic()
        self._total_bytes = await self._tree.run(self._measure)
        yield self._progress()
        async with aclosing(self._look_at_contents()) as looked:
            async for each in looked:
                yield each if isinstance(each, Progress) else await self._settle(each, order)
        hashed_at = time.monotonic()
        yield self._progress()
        async with aclosing(self._look_at_links()) as looked:
            async for each in looked:
                yield each if isinstance(each, Progress) else await self._settle(each, order)
        yield self._result(hashed_at - began_at, time.monotonic() - began_at)

    def _measure(self) -> int:
        found = walk.contents(self._tree.layout)
        return sum(each.size for each in found if isinstance(each, ContentFile))

    def _progress(self) -> Progress:
        return Progress(self._read_bytes, self._total_bytes, "bytes", "contents")

    def _result(self, hashing_seconds: float, seconds: float) -> Result:
        names = ("contents", "links", "manifests", "tags", "evicted", *Problem, "repaired")
        numbers: dict[str, int | float] = {name: self._counts[name] for name in names}
        numbers["bytes"] = self._read_bytes
        numbers["seconds"] = round(seconds, 3)
        numbers["bytes_per_second"] = round(self._read_bytes / max(hashing_seconds, 1e-6))
        return Result(self._open_findings == 0, numbers)

    # --- looking ----------------------------------------------------------------------------------

    async def _look_at_contents(self) -> AsyncGenerator[Looked | Progress]:
        """Hash in threads of its own, a portion each; give the problems and the progress."""
        portions = _portions(walk.contents(self._tree.layout))
        executor = ThreadPoolExecutor(self._threads, thread_name_prefix="verify")
        loop = asyncio.get_running_loop()
        running: set[asyncio.Future[list[Looked]]] = set()
        try:
            while True:
                while len(running) <= self._threads:  # one more than work, so that none waits
                    portion = await self._tree.run(next, portions, None)
                    if portion is None:
                        break
                    running.add(loop.run_in_executor(executor, self._hash_portion, portion))
                if not running:
                    return
                done, running = await asyncio.wait(
                    running, timeout=TELL_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                for each in [each for job in done for each in job.result()]:
                    if self._is_noteworthy(each):
                        yield each
                yield self._progress()
        finally:
            self._is_stopped.set()
            stop = functools.partial(executor.shutdown, cancel_futures=True)
            await loop.run_in_executor(None, stop)
            await asyncio.gather(*running, return_exceptions=True)

    def _hash_portion(self, portion: Sequence[ContentFile | Stray]) -> list[Looked]:
        try:
            return [look_at_content(each, self._count) for each in portion]
        except Stopped:
            return []

    def _count(self, size_bytes: int) -> None:
        if self._is_stopped.is_set():
            raise Stopped
        with self._counting:
            self._read_bytes += size_bytes

    async def _look_at_links(self) -> AsyncGenerator[Looked | Progress]:
        found = walk.links(self._tree.layout)
        told_at = time.monotonic()
        while looked := await self._tree.run(self._look_at_some, found):
            for each in looked:
                if self._is_noteworthy(each):
                    yield each
            if time.monotonic() - told_at >= TELL_EVERY_SECONDS:
                told_at = time.monotonic()
                yield Progress(self._counts["links"], 0, "links", "links")

    def _look_at_some(self, found: Iterator[LinkFile | Stray]) -> list[Looked]:
        return [look_at_link(self._tree.layout, each) for each in islice(found, LINKS_AT_ONCE)]

    def _is_noteworthy(self, looked: Looked) -> bool:
        """Count a file and note its state; say whether there is something to tell of it."""
        file = looked.file
        if isinstance(file, ContentFile):
            self._counts["contents"] += 1
            self._note_state(file, looked)
        elif isinstance(file, LinkFile):
            self._counts["links"] += file.role in LINK_KINDS
            self._counts["manifests"] += file.role is Role.MANIFEST
            self._counts["tags"] += file.role is Role.TAG
            self._counts["evicted"] += looked.is_evicted
        return looked.problem is not None

    def _note_state(self, file: ContentFile, looked: Looked) -> None:
        if self._store is None:
            return
        if looked.problem is not None:
            self._store.doubt(file.digest)
        elif looked.stamp is not None:
            self._store.integrity.note_good(file.digest, looked.stamp)

    # --- what is made of it -----------------------------------------------------------------------

    async def _settle(self, looked: Looked, order: Order) -> Event:
        """Give the finding, once it was repaired where that is wanted."""
        problem = looked.problem
        if problem is None:
            raise ValueError("nothing is wrong with it")
        is_repaired = order.is_repair and await self._is_repaired(looked)
        self._counts[problem] += 1
        self._counts["repaired"] += is_repaired
        self._open_findings += not is_repaired
        where = walk.below(self._tree.layout.root, looked.file.path)
        return Finding(problem, where, looked.detail, is_repaired)

    async def _is_repaired(self, looked: Looked) -> bool:
        """Repair; say whether that worked."""
        file = looked.file
        try:
            if isinstance(file, ContentFile):
                await self._tree.quarantine(file.digest, looked.detail, file.inode)
            elif isinstance(file, Stray):
                await self._tree.run(_remove, file.path)
            elif (await self._tree.run(look_at_link, self._tree.layout, file)).problem is not None:
                await self._remove_link(file)
        except StoreUnavailable:
            return False
        return True

    async def _remove_link(self, link: LinkFile) -> None:
        """Remove a link; the tags of a manifest go with its link."""
        if link.digest is not None and link.role in LINK_KINDS:
            await self._tree.drop_link(link.repository, LINK_KINDS[link.role], link.digest)
            if link.role is Role.MANIFEST:
                for tag in await self._tree.tags_of(link.repository, link.digest):
                    await self._drop_tag(link.repository, tag)
        elif link.role is Role.TAG and link.tag is not None:
            await self._drop_tag(link.repository, link.tag)
        else:
            await self._tree.run(_remove, link.path)


def _remove(path: str) -> None:
    try:
        durable.remove_whatever(Path(path))
    except (FileNotFoundError, NotADirectoryError):
        return


def _portions(found: Iterator[ContentFile | Stray]) -> Iterator[list[ContentFile | Stray]]:
    """Give files together that are read in some milliseconds; a large one closes its portion."""
    portion: list[ContentFile | Stray] = []
    size = 0
    for each in found:
        portion.append(each)
        size += each.size if isinstance(each, ContentFile) else 0
        if size >= PORTION_BYTES or len(portion) >= PORTION_FILES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
