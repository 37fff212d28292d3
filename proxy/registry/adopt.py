"""`adopt`: the contents of another tree, such as a copy of the primary's disk, become ours.

Bytes alone: each is hashed, and no link comes with them. So a pull of what was adopted asks the
primary once whether this repository has it, and fetches nothing. What nobody pulls is without a
link, and is collected by `gc` like anything else.
"""

import os
import secrets
import shutil
from collections import Counter
from pathlib import Path

from proxy.oci.errors import BadRequest, StoreUnavailable
from proxy.registry import durable, walk
from proxy.registry.ending import to_its_end
from proxy.registry.hashing import hash_file, open_content
from proxy.registry.layout import Layout
from proxy.registry.orders import Order
from proxy.registry.progress import Deed, Done, Events, Progress, Result
from proxy.registry.store import Store


class Adopter:
    """Brings contents of another tree into the store, by hard links where that can be done."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tree = store.tree
        self._counts: Counter[str] = Counter()

    async def run(self, order: Order) -> Events:
        """Give what is adopted, the numbers at the end; not good if something had wrong bytes.

        Raises: BadRequest: that is no tree. StoreUnavailable: it can't be read.
        """
        source = Layout(Path(order.references[0] if order.references else ""))
        if not await self._tree.run((source.registry / "blobs").is_dir):
            raise BadRequest(f"{source.root} has no docker/registry/v2/blobs")
        found = walk.contents(source)
        while some := await self._tree.run(walk.some_of, found):
            for file in some:
                if isinstance(file, walk.ContentFile) and file.is_regular:
                    done = await self._adopt(file)
                    self._counts["contents"] += 1
                    self._counts[done.deed] += 1
                    self._counts["adopted_bytes"] += done.size_bytes
                    yield done
            yield Progress(self._counts["contents"], 0, "contents", "contents")
        names = (Deed.ADOPTED, Deed.HERE, Deed.FAILED, "adopted_bytes")
        yield Result(not self._counts[Deed.FAILED], {name: self._counts[name] for name in names})

    async def _adopt(self, file: walk.ContentFile) -> Done:
        name = str(file.digest)
        if await self._store.has_bytes(file.digest):
            return Done(Deed.HERE, name)
        try:
            with self._store.room.claimed(file.digest) as claim:
                await claim.cover(file.size)
                is_right = await to_its_end(self._bring(file))
        except StoreUnavailable as exc:
            return Done(Deed.FAILED, name, detail=str(exc.__cause__ or exc.message))
        if not is_right:
            return Done(Deed.FAILED, name, detail="its bytes don't have its digest")
        return Done(Deed.ADOPTED, name, file.size)

    async def _bring(self, file: walk.ContentFile) -> bool:
        spooled = self._tree.layout.spool / f"adopt-{secrets.token_hex(8)}"
        try:
            await self._tree.run(_link_or_copy, Path(file.path), spooled)
            number = await self._tree.run(open_content, os.fspath(spooled))
            try:
                found, _ = await self._tree.run(hash_file, number, file.digest.algorithm)
                if found == file.digest.hex:
                    await self._tree.commit(spooled, number, file.digest)
            finally:
                os.close(number)
        finally:
            await self._tree.run(durable.remove_file, spooled)
        return found == file.digest.hex


def _link_or_copy(source: Path, target: Path) -> None:
    if not durable.link_file(source, target):
        shutil.copyfile(source, target, follow_symlinks=False)
