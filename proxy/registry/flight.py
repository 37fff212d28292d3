"""A flight: one fetch of one blob, however many wait for it.

Rules:
- It belongs to the service, not to who asked first: that client's pace and departure change
  nothing for the others.
- Each byte is requested once, except after a break: then it goes on from the byte that is here.
- It asks the primary for a repository and a caller that may read the blob there (`sources`);
  every repository that the primary gave it for, by this fetch or by a HEAD, is linked at the end.
- What is written is a spool file; it enters the tree only when size and digest agree.
- It ends once: committed, or failed with an error that every follower gets.

- Followers are let in once the size is known and not 0: until the digest agrees that is all that
  tells a complete answer from an incomplete one.

States: asking (no size yet) -> growing -> verified -> committed; failed from each of them.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from proxy.net.session import LinkBroken
from proxy.oci.descriptor import OCTET_STREAM, Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import (
    Absent,
    ContentMismatch,
    Denied,
    RangeInvalid,
    RegistryError,
    StoreUnavailable,
    Unauthorized,
    Unavailable,
)
from proxy.oci.reference import Repository
from proxy.oci.request import BlobPull
from proxy.oci.span import RangeRequest
from proxy.registry.breaks import Breaks
from proxy.registry.clock import NOW, moment
from proxy.registry.ending import to_its_end
from proxy.registry.fetcher import Fetcher
from proxy.registry.growing import GrowingFile
from proxy.registry.integrity import Stamp
from proxy.registry.layout import LinkKind
from proxy.registry.puller import Stream
from proxy.registry.room import Claim
from proxy.registry.spool import SpoolFile, open_spool_file, remove_spool_file
from proxy.registry.store import Store


class Flight:
    """One fetch. Await `opened` for the file to follow; `run` is the task that does the work."""

    def __init__(
        self,
        digest: Digest,
        fetcher: Fetcher,
        store: Store,
        tail_bytes: int,
    ) -> None:
        self.digest = digest
        self._fetcher = fetcher
        self._tree = store.tree
        self._room = store.room
        self._integrity = store.integrity
        self._tail_bytes = tail_bytes
        self._sources: dict[BlobPull, None] = {}
        self._proven: dict[Repository, float] = {}
        self._refused: dict[BlobPull, RegistryError] = {}
        self._awaiting = 0
        self.has_failed = False
        self.has_linked = False
        self.opened: asyncio.Future[GrowingFile] = asyncio.get_running_loop().create_future()
        self.opened.add_done_callback(_seen)
        self.growing: GrowingFile | None = None

    @property
    def descriptor(self) -> Descriptor:
        """What is being fetched, once its size is known."""
        size = self.growing.size if self.growing is not None else 0
        return Descriptor(OCTET_STREAM, self.digest, size)

    # --- who takes part ---------------------------------------------------------------------------

    def serves(self, repository: Repository) -> bool:
        """Say whether pulls of this repository may join without asking the primary first."""
        return repository in self._proven or any(
            source.repository == repository for source in self._sources
        )

    def admit(self, pull: BlobPull, *, is_proven: bool, asked_at: float = NOW) -> None:
        """Let a pull take part; *is_proven* if the primary, asked then, gave the blob for it."""
        self._sources[pull] = None
        self._refused.pop(pull, None)
        if is_proven:
            self._proven[pull.repository] = asked_at

    def withdraw(self, repository: Repository) -> None:
        """The blob was deleted there: whoever asks from here on needs another proof."""
        self._proven.pop(repository, None)
        self._sources = {pull: None for pull in self._sources if pull.repository != repository}

    def refusal(self, pull: BlobPull) -> RegistryError | None:
        """Give what the primary said to a pull that it doesn't give the blob for."""
        return self._refused.get(pull)

    def has_proof_for(self, repository: Repository) -> bool:
        """Say whether the primary gave the blob for this repository, here or by a HEAD."""
        return repository in self._proven

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Count as a follower while the file isn't held yet."""
        self._awaiting += 1
        try:
            yield
        finally:
            self._awaiting -= 1

    @property
    def followers(self) -> int:
        """How many wait for this flight or read its file."""
        return self._awaiting + (self.growing.readers if self.growing is not None else 0)

    @property
    def is_orphan(self) -> bool:
        """Say whether nobody would miss it. One that has all its bytes is as good as done."""
        growing = self.growing
        is_nearly_done = growing is not None and 0 < growing.size == growing.arrived
        return self.followers == 0 and not is_nearly_done

    # --- the work ---------------------------------------------------------------------------------

    async def run(self) -> int:
        """Fetch, verify, commit; give the size in bytes. `close` it afterwards.

        Raises: Absent, Unauthorized, Denied: no source gives it. Unavailable: nobody answers.
        ContentMismatch. StoreUnavailable: no room here, known before the first byte.
        """
        try:
            stream = await self._open_at(0)
        except BaseException as exc:
            self.fail(exc)
            raise
        size = stream.resolution.descriptor.size if stream.is_sized else None
        with self._room.claimed(self.digest) as claim:
            return await self._bring(stream, size, claim)

    async def _bring(self, stream: Stream, size: int | None, claim: Claim) -> int:
        try:
            await claim.cover(size or 0)
            path, descriptor = await open_spool_file(self._tree, size)
            claim.is_allocated = size is not None
        except BaseException as exc:
            await stream.aclose()
            self.fail(exc)
            raise
        growing = GrowingFile(descriptor, size or 0, self._tail_bytes)
        self.growing = growing
        spool = SpoolFile(path, descriptor, self.digest.algorithm, self._tree, growing.advance)
        if size:
            self.opened.set_result(growing)
        try:
            await self._fill(stream, spool, size, claim)
            await self._verify(spool, growing, size)
            await to_its_end(self._commit(spool))
        except BaseException as exc:
            self.fail(exc)
            raise
        finally:
            await to_its_end(self._let_go(spool))
        return growing.size

    def fail(self, exc: BaseException) -> None:
        """End for everybody who follows; nobody joins from here on."""
        self.has_failed = True
        error = exc if isinstance(exc, RegistryError) else Unavailable("the fill was ended")
        if not self.opened.done():
            self.opened.set_exception(error)
        if self.growing is not None:
            self.growing.failed(error)

    async def _let_go(self, spool: SpoolFile) -> None:
        await spool.quiet()
        await remove_spool_file(self._tree, spool.path)

    def close(self) -> None:
        """Let go of the file; from here on nobody can join."""
        if self.growing is not None:
            self.growing.release()

    async def _open_at(self, offset: int) -> Stream:
        """Ask the sources in turn for the bytes from *offset* on."""
        part = RangeRequest(offset, None) if offset else None

        async def ask(pull: BlobPull) -> Stream:
            asked_at = moment()
            try:
                content = await self._fetcher.open(pull, part)
            except (Absent, Unauthorized, Denied) as exc:
                self._refused[pull] = exc
                raise
            if self.serves(pull.repository):  # it wasn't withdrawn meanwhile
                self._proven[pull.repository] = asked_at
            return content

        asked: set[BlobPull] = set()
        while True:
            sources = tuple(pull for pull in self._sources if pull not in asked)
            asked.update(sources)
            try:
                return await self._fetcher.first(sources, ask)
            except (Absent, Unauthorized, Denied):
                if asked.issuperset(self._sources):  # nobody joined meanwhile
                    raise

    async def _fill(self, stream: Stream, spool: SpoolFile, size: int | None, claim: Claim) -> None:
        """Copy until all is here, going on after breaks from the byte that is here."""
        breaks = Breaks()
        while True:
            try:
                await _copy(stream, spool, size, claim)
                return
            except StoreUnavailable:
                raise
            except Unavailable as exc:
                if spool.accepted == size:  # all came, only its end didn't
                    return
                await breaks.wait(spool.accepted, exc)
            finally:
                await stream.aclose()
            self._fetcher.note_break()
            stream = await self._resume(spool.accepted, size, breaks)

    async def _resume(self, offset: int, size: int | None, breaks: Breaks) -> Stream:
        while True:
            try:
                stream = await self._open_at(offset)
            except Unavailable as exc:
                await breaks.wait(offset, exc)
                continue
            except RangeInvalid as exc:
                raise ContentMismatch("the blob is shorter than the primary announced") from exc
            if size is None or stream.resolution.descriptor.size == size:
                return stream
            await stream.aclose()
            raise ContentMismatch("the blob's size changed during the fill")

    async def _verify(self, spool: SpoolFile, growing: GrowingFile, size: int | None) -> None:
        if await spool.finish() != self.digest or size not in (None, spool.written):
            raise ContentMismatch
        growing.size = spool.written
        growing.verified()
        if not self.opened.done():
            self.opened.set_result(growing)

    async def _commit(self, spool: SpoolFile) -> None:
        await self._tree.commit(spool.path, spool.descriptor_number, self.digest)
        self._integrity.note_good(self.digest, Stamp.of(spool.descriptor_number))
        linked: set[Repository] = set()
        while missing := self._proven.keys() - linked:  # others may join meanwhile
            for repository in missing:
                asked_at = self._proven.get(repository)
                if asked_at is not None:
                    link = (repository, LinkKind.LAYER, self.digest)
                    await self._tree.confirm_link(*link, asked_at)
            linked |= missing
        self.has_linked = True  # whoever is proven from here on sees to its link itself


async def _copy(stream: Stream, spool: SpoolFile, size: int | None, claim: Claim) -> None:
    """Write a stream's bytes behind those that are here, up to *size* if it is known.

    Raises: LinkBroken: it ended early. ContentMismatch: there is more than announced.
    """
    already_here = spool.accepted - stream.span.start  # a primary may ignore Range
    async for chunk in stream.chunks:
        if already_here >= len(chunk):
            already_here -= len(chunk)
            continue
        new = chunk[already_here:] if already_here else chunk
        already_here = 0
        if size is not None and spool.accepted + len(new) > size:
            raise ContentMismatch("the primary sent more than it announced")
        await claim.cover_growing(spool.accepted + len(new))
        await spool.write(new)
    if size is not None and spool.accepted < size:
        raise LinkBroken


def _seen(opened: asyncio.Future[GrowingFile]) -> None:
    """Mark the outcome as seen, for flights that nobody waits for any more."""
    if not opened.cancelled():
        opened.exception()
