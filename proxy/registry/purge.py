"""`purge`: a repository, a tag or a digest is forgotten here, as if it had never been pulled.

What is removed are links and tags, the link's file first; bytes go with the next `gc`. Whoever
pulls afterwards asks the primary again. A tag's purge removes the tag alone; a digest's its links
and the tags that name it; a repository's all of both.
"""

from collections.abc import Callable
from dataclasses import dataclass

from proxy.oci.digest import Digest
from proxy.oci.errors import BadRequest
from proxy.oci.reference import Reference, Repository, Tag, split_reference
from proxy.registry import walk
from proxy.registry.fill import CacheFill
from proxy.registry.layout import LinkKind
from proxy.registry.listings import REFERRERS, TAGS
from proxy.registry.orders import Order
from proxy.registry.progress import Deed, Done, Events, Result
from proxy.registry.sidecar import Sidecar
from proxy.registry.tagbook import TagBook
from proxy.registry.tree import Tree
from proxy.registry.walk import LINK_KINDS, LinkFile, Role


@dataclass(frozen=True, slots=True)
class Target:
    """What is to go: one reference of a repository, or all of it."""

    repository: Repository
    reference: Reference | None

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read `[host/]repository[:tag|@digest]`.

        Raises: NameInvalid, DigestInvalid, ManifestUnknown.
        """
        repository, reference = split_reference(text)
        is_named = "@" in text or ":" in text.rpartition("/")[2]
        return cls(repository, reference if is_named else None)


class Purger:
    """Removes links and tags.

    *fill* is the running replica's: what is on its way is linked no more for what is purged.
    *forget* drops a content from its memory.
    """

    def __init__(
        self,
        tree: Tree,
        book: TagBook,
        sidecar: Sidecar,
        fill: CacheFill | None = None,
        forget: Callable[[Digest], None] = lambda _: None,
    ) -> None:
        self._tree = tree
        self._book = book
        self._sidecar = sidecar
        self._fill = fill
        self._forget = forget

    async def run(self, order: Order) -> Events:
        """Give what is removed; not good if there was nothing of that.

        Raises: StoreUnavailable: the file system refused. NameInvalid, DigestInvalid,
        ManifestUnknown: a target can't be read.
        """
        if not order.references:
            raise BadRequest("nothing was named")
        count = 0
        for target in tuple(map(Target.parse, order.references)):
            self._withdraw(target)
            found = walk.links_of(self._tree.layout, target.repository)
            while some := await self._tree.run(walk.some_of, found):
                for link in some:
                    if isinstance(link, LinkFile) and await self._is_meant(target, link):
                        await self._remove(link)
                        count += 1
                        yield Done(Deed.REMOVED, _name(link))
            await self._hold_back(target)
            for kind in (TAGS, REFERRERS):
                self._sidecar.drop_answers(kind, target.repository)
        yield Result(is_good=count > 0, numbers={"removed": count})

    async def _is_meant(self, target: Target, link: LinkFile) -> bool:
        if link.role is Role.HISTORY:
            return False  # it goes with its tag
        match target.reference:
            case None:
                return True
            case Digest() as digest if link.role is Role.TAG and link.tag is not None:
                return await self._tree.tag(link.repository, link.tag) == digest
            case reference:
                return reference == (link.tag if isinstance(reference, Tag) else link.digest)

    def _withdraw(self, target: Target) -> None:
        """Let flights that are under way serve the target no more, without another proof."""
        if self._fill is None:
            return
        if target.reference is None:
            self._fill.withdraw_all(target.repository)
        elif isinstance(target.reference, Digest):
            self._fill.withdraw(target.repository, target.reference)

    async def _hold_back(self, target: Target) -> None:
        """End what is known of a reference in memory alone, and what a fill is about to write."""
        repository, reference = target.repository, target.reference
        if isinstance(reference, Digest):
            for kind in LinkKind:
                await self._tree.drop_link(repository, kind, reference)
        elif reference is not None and self._book.remembered(repository, reference) is not None:
            await self._book.drop(repository, reference)

    async def _remove(self, link: LinkFile) -> None:
        if link.tag is not None:
            await self._book.drop(link.repository, link.tag)
        elif link.digest is not None:
            await self._tree.drop_link(link.repository, LINK_KINDS[link.role], link.digest)
            self._sidecar.doubt(link.digest)
            self._forget(link.digest)


def _name(link: LinkFile) -> str:
    if link.tag is not None:
        return f"{link.repository}:{link.tag}"
    what = "manifest" if LINK_KINDS[link.role] is LinkKind.MANIFEST else "blob"
    return f"{link.repository}@{link.digest} ({what})"
