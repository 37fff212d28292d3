"""`gc`: what no repository links leaves: bytes, empty folders, what was set aside long ago.

Rules:
- Any link counts, read or not: its path names the digest.
- Bytes or a place younger than the grace stay: somebody may be about to link them.
- A file is moved out of the tree first and looked at again: where a link was written since the walk
  began, or another file had taken its place, it goes back. So no link ever loses its bytes here.
- Without a running replica nobody writes, since the store's lock is ours then.
"""

import os
import secrets
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from proxy.oci.digest import Digest
from proxy.registry import durable, walk
from proxy.registry.ending import to_its_end
from proxy.registry.orders import Order
from proxy.registry.progress import Deed, Done, Events, Progress, Result
from proxy.registry.tree import Tree
from proxy.registry.walk import ContentFile, LinkFile

MIN_GRACE_SECONDS = 5.0
"""Beside a running replica: longer than anything takes from its bytes' place to its link."""
QUARANTINE_SECONDS = 7 * 24 * 3600.0


class Collector:
    """One run over a store.

    *forget* drops a content from memory before its bytes leave; *is_wanted* says whether somebody
    is bringing it right now; *on_removed* is told of each that has left, and of its size. Nothing
    younger than *min_grace_seconds* goes, whatever is asked for.
    """

    def __init__(
        self,
        tree: Tree,
        min_grace_seconds: float = 0.0,
        forget: Callable[[Digest], None] = lambda _: None,
        is_wanted: Callable[[Digest], bool] = lambda _: False,
        on_removed: Callable[[Digest, int], None] = lambda *_: None,
    ) -> None:
        self._tree = tree
        self._min_grace_seconds = min_grace_seconds
        self._forget = forget
        self._is_wanted = is_wanted
        self._on_removed = on_removed
        self._marks = Marks()
        self._counts: Counter[str] = Counter()

    async def run(self, order: Order) -> Events:
        """Give what is removed, or would be; the numbers at the end.

        Raises: StoreUnavailable: the tree can't be walked.
        """
        before = time.time() - max(order.grace_seconds, self._min_grace_seconds)
        with self._tree.linking.watched() as linked:
            marked = walk.links(self._tree.layout)
            while count := await self._tree.run(self._mark_some, marked):
                self._counts["links"] += count
                yield Progress(self._counts["links"], 0, "links", "links")
            found = walk.contents(self._tree.layout)
            while (garbage := await self._tree.run(self._garbage, found, before)) is not None:
                for each in garbage:
                    if order.is_dry_run or await to_its_end(self._is_removed(each, linked)):
                        yield self._done(str(each.digest), each.size, order)
                yield Progress(self._counts["contents"], 0, "contents", "contents")
        for path, size in await self._tree.run(self._old_quarantine):
            if not order.is_dry_run:
                await self._tree.run(_remove, path)
            yield self._done(walk.below(self._tree.layout.root, path), size, order)
        if not order.is_dry_run:
            self._counts["folders"] = await self._tree.run(self._remove_empty_folders, before)
        names = ("links", "contents", "removed", "removed_bytes", "folders")
        yield Result(is_good=True, numbers={name: self._counts[name] for name in names})

    def _done(self, what: str, size: int, order: Order) -> Done:
        self._counts["removed"] += 1
        self._counts["removed_bytes"] += size
        return Done(Deed.WOULD_REMOVE if order.is_dry_run else Deed.REMOVED, what, size)

    # --- marking ----------------------------------------------------------------------------------

    def _mark_some(self, found: Iterator[LinkFile | walk.Stray]) -> int:
        """Mark what the next links name; give how many that were."""
        some = walk.some_of(found)
        for each in some:
            if isinstance(each, LinkFile) and each.role in walk.LINK_KINDS and each.digest:
                self._marks.add(each.digest)
        return len(some)

    def _garbage(
        self, found: Iterator[ContentFile | walk.Stray], before: float
    ) -> list[ContentFile] | None:
        """Give what can go of the next contents; None after the last."""
        some = walk.some_of(found)
        files = [each for each in some if isinstance(each, ContentFile)]
        self._counts["contents"] += len(files)
        old = [each for each in files if each.touched_at < before]
        return [each for each in old if each.digest not in self._marks] if some else None

    # --- removing ---------------------------------------------------------------------------------

    async def _is_removed(self, file: ContentFile, linked: set[Digest]) -> bool:
        if file.digest in linked or self._is_wanted(file.digest):
            return False
        self._forget(file.digest)  # no await since: who links it from here on is seen in *linked*
        aside = await self._tree.run(self._set_aside, file)
        if aside is None:
            return False
        if file.digest in linked or self._is_wanted(file.digest):
            await self._tree.run(_put_back, aside, Path(file.path))
            return False
        await self._tree.run(_remove, os.fspath(aside))
        self._on_removed(file.digest, file.size)
        return True

    def _set_aside(self, file: ContentFile) -> Path | None:
        """Move a file out of the tree; None where it isn't the one that was looked at."""
        aside = self._tree.layout.spool / f"gc-{secrets.token_hex(8)}"
        path = Path(file.path)
        try:
            path.rename(aside)
        except FileNotFoundError:
            return None
        if aside.lstat().st_ino != file.inode:
            _put_back(aside, path)
            return None
        with suppress(OSError):
            path.parent.rmdir()
        return aside

    def _old_quarantine(self) -> list[tuple[str, int]]:
        before = time.time() - QUARANTINE_SECONDS
        found = [
            (entry.path, entry.stat(follow_symlinks=False))
            for entry in walk.entries_of(os.fspath(self._tree.layout.quarantine))
        ]
        return [(path, state.st_size) for path, state in found if state.st_ctime < before]

    def _remove_empty_folders(self, before: float) -> int:
        registry = self._tree.layout.registry
        tops = (registry / "blobs", registry / "repositories")
        return sum(_remove_empty_below(os.fspath(top), before) for top in tops)


class Marks:
    """A set of digests in 8 bytes each: one that isn't in it is sure not to be.

    Two that share their first 72 bits would be taken for the same, and stay.
    """

    def __init__(self) -> None:
        self._by_prefix: defaultdict[str, array[int]] = defaultdict(lambda: array("Q"))
        self._prefix = ""
        self._current: frozenset[int] = frozenset()

    def add(self, digest: Digest) -> None:
        """Add a digest."""
        self._prefix = ""
        self._by_prefix[_prefix(digest)].append(_rest(digest))

    def __contains__(self, digest: Digest) -> bool:
        if _prefix(digest) != self._prefix:  # they are asked about in the order of their names
            self._prefix = _prefix(digest)
            self._current = frozenset(self._by_prefix.get(self._prefix, ()))
        return _rest(digest) in self._current


def _prefix(digest: Digest) -> str:
    return f"{digest.algorithm}:{digest.hex[:2]}"


def _rest(digest: Digest) -> int:
    return int(digest.hex[2:18], 16)


def _put_back(aside: Path, path: Path) -> None:
    """Put a file back where it was, unless another has taken its place."""
    durable.make_folders(path.parent)
    with suppress(FileExistsError):
        path.hardlink_to(aside)
    aside.unlink()


def _remove(path: str) -> None:
    durable.remove_whatever(Path(path))


def _remove_empty_below(folder: str, before: float) -> int:
    """Remove empty folders that are older than *before*, the inner ones first; count them."""
    count = 0
    for entry in walk.entries_of(folder):
        if not walk.is_folder(entry):
            continue
        is_old = entry.stat(follow_symlinks=False).st_mtime < before
        count += _remove_empty_below(entry.path, before)
        if is_old:
            with suppress(OSError):
                Path(entry.path).rmdir()
                count += 1
    return count
