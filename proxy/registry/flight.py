"""A flight: one fetch of one blob, however many wait for it.

Rules:
- It belongs to the service, not to who asked first: that client's pace and departure change
  nothing for the others.
- Each byte is requested once, except after a break: then it goes on from the byte that is here.
  It comes in segments, over several connections where one can't use the link (`lanes`).
- It asks the primary for a repository and a caller that may read the blob there (`sources`);
  every repository that the primary gave it for, by this fetch or by a HEAD, is linked at the end.
- What is written is a spool file; it enters the tree only when size and digest agree.
- It ends once: committed, or failed with an error that every follower gets. What a large one had
  when it was interrupted is kept for the next (`interrupted`).
- Followers are let in once the size is known and not 0: until the digest agrees that is all that
  tells a complete answer from an incomplete one.

States: asking (no size yet) -> growing -> verified -> committed; failed from each of them.
"""

import asyncio
import functools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from proxy.oci.descriptor import OCTET_STREAM, Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import (
    ContentMismatch,
    RangeInvalid,
    RegistryError,
    StoreUnavailable,
    Unavailable,
)
from proxy.oci.span import ByteSpan, RangeRequest
from proxy.registry.breaks import Breaks
from proxy.registry.ending import to_its_end
from proxy.registry.fetcher import Fetcher
from proxy.registry.flight_file import FlightFile, OpenFile
from proxy.registry.growing import GrowingFile
from proxy.registry.integrity import Stamp
from proxy.registry.interrupted import Mark
from proxy.registry.lanes import LaneRules, Lanes
from proxy.registry.puller import Stream
from proxy.registry.room import Claim
from proxy.registry.segments import Segments, first_segment
from proxy.registry.sources import Sources
from proxy.registry.spool import SpoolFile
from proxy.registry.store import Store


@dataclass(frozen=True, slots=True)
class _Begun:
    """A flight's first stream and its file."""

    stream: Stream
    file: OpenFile


class Flight:
    """One fetch. Await `opened` for the file to follow; `run` is the task that does the work.

    *wanted* is the part that is asked for first, of a blob that is worth several requests.
    """

    def __init__(
        self,
        digest: Digest,
        fetcher: Fetcher,
        store: Store,
        tail_bytes: int,
        lanes: LaneRules,
        wanted: RangeRequest | None = None,
    ) -> None:
        self.digest = digest
        self.sources = Sources(digest, fetcher)
        self._lanes = lanes
        self._wanted = wanted
        self._tree = store.tree
        self._file = FlightFile(store.tree, digest)
        self._room = store.room
        self._integrity = store.integrity
        self._tail_bytes = tail_bytes
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

    # --- followers --------------------------------------------------------------------------------

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

    # --- from the beginning to the end ------------------------------------------------------------

    async def run(self) -> int:
        """Fetch, verify, commit; give the size in bytes. `close` it afterwards.

        Raises: Absent, Unauthorized, Denied: no source gives it. Unavailable: nobody answers.
        ContentMismatch. StoreUnavailable: no room here, known before the first byte.
        """
        with self._room.claimed(self.digest) as claim:
            try:
                begun = await self._take_up(claim) or await self._begin(claim)
            except BaseException as exc:
                self.fail(exc)
                raise
            return await self._bring(begun, claim)

    async def _bring(self, begun: _Begun, claim: Claim) -> int:
        file = begun.file
        growing = GrowingFile(file.descriptor_number, file.size or 0, self._tail_bytes)
        self.growing = growing
        spool = self._file.spool(file, growing)
        if file.size:
            self.opened.set_result(growing)
        try:
            await self._fill(begun, spool, growing, claim)
            await self._verify(spool, growing, file.size)
            await to_its_end(self._commit(spool, growing))
        except BaseException as exc:
            self.fail(exc)
            await to_its_end(self._file.leave(spool, file.size, exc))
            raise
        await to_its_end(self._file.let_go(spool))
        return growing.size

    def fail(self, exc: BaseException) -> None:
        """End for everybody who follows; nobody joins from here on."""
        self.has_failed = True
        error = exc if isinstance(exc, RegistryError) else Unavailable("the fill was ended")
        if not self.opened.done():
            self.opened.set_exception(error)
        if self.growing is not None:
            self.growing.failed(error)

    def close(self) -> None:
        """Let go of the file; from here on nobody can join."""
        if self.growing is not None:
            self.growing.release()

    async def _begin(self, claim: Claim) -> _Begun:
        stream = await self._first_stream()
        size = stream.resolution.descriptor.size if stream.is_sized else None
        try:
            return _Begun(stream, await self._file.create(size, claim))
        except BaseException:
            await stream.aclose()
            raise

    async def _first_stream(self) -> Stream:
        """Ask for the first segment of a large blob, for the part that is wanted, or for all."""
        if self._wanted is not None and self._lanes.most > 1:
            with suppress(RangeInvalid):  # it is shorter than was thought
                return await self.sources.open(first_segment(self._wanted))
        return await self.sources.open(None)

    async def _take_up(self, claim: Claim) -> _Begun | None:
        """Go on with what an interrupted flight left, if the primary still gives that."""
        mark = self._file.take_mark()
        if mark is None:
            return None
        try:
            begun = await self._gone_on(mark, claim)
        except BaseException:
            await to_its_end(self._file.keep(mark))
            raise
        if begun is None:
            await self._file.drop(mark)
        return begun

    async def _gone_on(self, mark: Mark, claim: Claim) -> _Begun | None:
        here = min(mark.here, mark.size - 1)  # the primary has to give something: it may refuse
        part = RangeRequest(here, None)
        try:
            stream = await self.sources.open(first_segment(part) if self._lanes.most > 1 else part)
        except RangeInvalid:
            return None
        file = None
        try:
            if stream.resolution.descriptor.size == mark.size and stream.span.start == here:
                file = await self._file.reopen(mark, here, claim)
        finally:
            if file is None:
                await stream.aclose()
        return None if file is None else _Begun(stream, file)

    # --- the bytes --------------------------------------------------------------------------------

    async def _fill(
        self, begun: _Begun, spool: SpoolFile, growing: GrowingFile, claim: Claim
    ) -> None:
        """Bring all of it in segments, what readers of parts wait for before the rest."""
        first, size = begun.stream, begun.file.size
        if size is None:
            await self._fill_unsized(first, spool, claim)
            return
        segments = Segments(size, begun.file.here)
        segments.take(first.span)
        growing.on_wanted = lambda offset: segments.want(ByteSpan(offset, offset + 1))
        weather = self._lanes.weather.at(first.place)
        ask = functools.partial(self._open_span, size)
        sources = self.sources
        lanes = Lanes(segments, spool, ask, self._lanes, weather, lambda: sources.has_client)
        await lanes.run(first)

    async def _open_span(self, size: int, span: ByteSpan) -> Stream:
        last = None if span.stop == size else span.stop - 1
        part = RangeRequest(span.start, last) if len(span) < size else None
        try:
            stream = await self.sources.open(part)
        except RangeInvalid as exc:
            raise ContentMismatch("the blob is shorter than the primary announced") from exc
        if stream.resolution.descriptor.size != size:
            await stream.aclose()
            raise ContentMismatch("the blob's size changed during the fill")
        return stream

    async def _fill_unsized(self, stream: Stream, spool: SpoolFile, claim: Claim) -> None:
        """Copy to the end, wherever that is, going on after breaks from the byte that is here."""
        breaks = Breaks()
        while True:
            try:
                skipped = spool.accepted - stream.span.start  # a primary may ignore Range
                async for chunk in stream.chunks:
                    if new := chunk[max(0, skipped) :]:
                        await claim.cover_growing(spool.accepted + len(new))
                        await spool.write(new)
                    skipped -= len(chunk)
            except StoreUnavailable:
                raise
            except Unavailable as exc:
                await breaks.wait(spool.accepted, exc)
            else:
                return
            finally:
                await stream.aclose()
            self._lanes.note_break()
            stream = await self._reopen(spool.accepted, breaks)

    async def _reopen(self, offset: int, breaks: Breaks) -> Stream:
        while True:
            try:
                return await self.sources.open(RangeRequest(offset, None) if offset else None)
            except Unavailable as exc:
                await breaks.wait(offset, exc)
            except RangeInvalid as exc:
                raise ContentMismatch("the blob became shorter during the fill") from exc

    async def _verify(self, spool: SpoolFile, growing: GrowingFile, size: int | None) -> None:
        if await spool.finish() != self.digest or size not in (None, spool.written):
            raise ContentMismatch
        growing.size = spool.written
        growing.verified()
        if not self.opened.done():
            self.opened.set_result(growing)

    async def _commit(self, spool: SpoolFile, growing: GrowingFile) -> None:
        await self._tree.commit(spool.path, spool.descriptor_number, self.digest)
        self._integrity.vouch(self.digest, growing, Stamp.of(spool.descriptor_number))
        await self.sources.link(self._tree)
        self.has_linked = True  # whoever is proven from here on sees to its link itself


def _seen(opened: asyncio.Future[GrowingFile]) -> None:
    """Mark the outcome as seen, for flights that nobody waits for any more."""
    if not opened.cancelled():
        opened.exception()
