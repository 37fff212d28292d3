"""Pass-through: content from the primary that the store can't take now.

It is verified all the same: the last bytes wait for the digest. So a part that holds the last byte
costs a whole download, as does any other where unverified parts may not be served. Every reader
costs the link its own, so their number is bounded; beyond it the answer is 503 with Retry-After.
"""

import asyncio
from collections.abc import AsyncGenerator

from proxy.net.session import LinkBroken
from proxy.oci.digest import Digest
from proxy.oci.errors import BadGateway, ContentMismatch, RangeInvalid, Unavailable
from proxy.oci.request import BlobPull, ManifestPull, Pull
from proxy.oci.span import ByteSpan, RangeRequest
from proxy.registry.fetcher import Fetcher
from proxy.registry.puller import Bytes, Content, Stream
from proxy.registry.store import bytes_content, part_of
from proxy.telemetry.labels import FillEnd, Origin
from proxy.telemetry.metrics import Metrics


class Uncached:
    """Opens content at the primary without keeping it."""

    def __init__(
        self,
        fetcher: Fetcher,
        metrics: Metrics,
        *,
        tail_bytes: int,
        max_at_once: int,
        may_serve_unverified_parts: bool = True,
    ) -> None:
        self._fetcher = fetcher
        self._metrics = metrics
        self._tail_bytes = tail_bytes
        self._max_at_once = max_at_once
        self._may_serve_unverified_parts = may_serve_unverified_parts
        self._running = 0

    async def open(self, pull: Pull, part: RangeRequest | None = None) -> Content:
        """Give the content as it comes; see `Puller.open`.

        Raises: Unavailable: too many of these already.
        """
        self._metrics.fill_ended(FillEnd.UNCACHED)
        if isinstance(pull, ManifestPull):
            return await self._manifest(pull, part)
        if self._running >= self._max_at_once:
            raise Unavailable("the local store is full and too many pulls pass through already")
        self._running += 1
        try:
            return await self._passing(pull, part)
        except BaseException:
            self._running -= 1
            raise

    async def _passing(self, pull: BlobPull, part: RangeRequest | None) -> Content:
        if part is not None and self._may_be_unverified(part):
            stream = await self._ask(pull, part)
            span = await _span_in(stream, part)
            if span.stop < stream.resolution.descriptor.size:
                chunks = cut(stream.chunks, stream.span.start, span)
                return Stream(stream.resolution, span, chunks, lambda: self._closed(stream))
            await stream.aclose()  # it holds the last byte, so that it is a complete answer
        return await self._verified(pull, part)

    def _may_be_unverified(self, part: RangeRequest) -> bool:
        """Say whether a part may lie before the last byte, and then go out as it comes."""
        is_closed = part.first is not None and part.last is not None
        return is_closed and self._may_serve_unverified_parts

    async def _verified(self, pull: BlobPull, part: RangeRequest | None) -> Content:
        """Give a part that ends only when all of the blob was here and right."""
        stream = await self._ask(pull, None)
        size = stream.resolution.descriptor.size
        span = await _span_in(stream, part)
        chunks = held_back(stream.chunks, pull.digest, size, self._tail_bytes)
        if not span:  # nothing to hold back: the headers are the whole answer
            return await self._empty(stream, chunks)
        if len(span) < size:
            chunks = ending_last(cut(chunks, 0, span), chunks)
        return Stream(stream.resolution, span, chunks, lambda: self._closed(stream))

    async def _empty(self, stream: Stream, chunks: AsyncGenerator[bytes]) -> Bytes:
        try:
            data = b"".join([chunk async for chunk in chunks])
        finally:
            stream.on_close()
        self._running -= 1
        return Bytes(stream.resolution, stream.span, data)

    async def _ask(self, pull: BlobPull, part: RangeRequest | None) -> Stream:
        stream = await self._fetcher.first((pull,), lambda each: self._fetcher.open(each, part))
        if not stream.is_sized:
            await stream.aclose()
            raise BadGateway("the primary doesn't say how long the blob is")
        return stream

    def _closed(self, stream: Stream) -> None:
        self._running -= 1
        stream.on_close()

    async def _manifest(self, pull: ManifestPull, part: RangeRequest | None) -> Bytes:
        manifest = (await self._fetcher.manifest(pull)).manifest
        return part_of(bytes_content(manifest.descriptor, manifest.data, Origin.PRIMARY), part)


async def _span_in(stream: Stream, part: RangeRequest | None) -> ByteSpan:
    size = stream.resolution.descriptor.size
    try:
        return ByteSpan(0, size) if part is None else part.on(size)
    except RangeInvalid:
        await stream.aclose()
        raise


async def cut(
    chunks: AsyncGenerator[bytes], position: int, span: ByteSpan
) -> AsyncGenerator[bytes]:
    """Give the part *span* of chunks that begin at *position*: a primary may ignore Range."""
    async for chunk in chunks:
        part = chunk[max(0, span.start - position) : max(0, span.stop - position)]
        position += len(chunk)
        if part:
            yield part
        if position >= span.stop:
            return


async def ending_last(
    part: AsyncGenerator[bytes], whole: AsyncGenerator[bytes]
) -> AsyncGenerator[bytes]:
    """Give the chunks of *part*, the last of them only when *whole* has ended well."""
    held = b""
    async for chunk in part:
        if held:
            yield held
        held = chunk
    async for _ in whole:
        pass
    yield held


async def held_back(
    chunks: AsyncGenerator[bytes], digest: Digest, size: int, tail_bytes: int
) -> AsyncGenerator[bytes]:
    """Give a stream's bytes, the last *tail_bytes* only once size and digest agree.

    Raises: ContentMismatch: they don't. LinkBroken: it ended early.
    """
    hasher = digest.algorithm.hasher()
    held = bytearray()
    seen = 0
    async for chunk in chunks:
        await asyncio.to_thread(hasher.update, chunk)
        seen += len(chunk)
        held += chunk
        if len(held) > tail_bytes:
            ready = len(held) - tail_bytes
            yield bytes(held[:ready])
            del held[:ready]
    if seen < size:
        raise LinkBroken
    if seen > size or hasher.hexdigest() != digest.hex:
        raise ContentMismatch
    yield bytes(held)
