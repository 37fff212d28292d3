"""What becomes of an answer whose file can't be read in its middle: it goes on from a good one.

Rules:
- Only behind bytes that were verified before they went out: a good end behind a wrong beginning
  would be a complete wrong answer.
- The rest is pulled as any part is, for the same caller through the same chain: the right is looked
  up again, the damaged file is set aside by then, and a rest that holds the last byte waits for the
  digest.
- Once for each answer.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from proxy.oci.errors import ContentMismatch
from proxy.oci.span import ByteSpan, RangeRequest
from proxy.registry.puller import Content, File

Reopen = Callable[[RangeRequest], Awaitable[Content]]
"""Opens a part of what a request pulls, as if that had been asked for."""


def rest_of(content: Content, sent_bytes: int) -> ByteSpan | None:
    """Give what is left of content that couldn't be read; None where it can't be gone on with."""
    if not isinstance(content, File):
        return None
    is_verified = content.growth.visible == content.resolution.descriptor.size
    if not is_verified:
        return None
    return ByteSpan(content.span.start + sent_bytes, content.span.stop)


@asynccontextmanager
async def opened_anew(content: Content, rest: ByteSpan, reopen: Reopen) -> AsyncIterator[Content]:
    """Open *rest* of a content once more, for the length of the block.

    Raises: ContentMismatch: it is of another size now. Whatever else opening it raises.
    """
    size = content.resolution.descriptor.size
    anew = await reopen(RangeRequest(rest.start, None if rest.stop == size else rest.stop - 1))
    try:
        if (anew.span, anew.resolution.descriptor.size) != (rest, size):
            raise ContentMismatch("the blob's size changed while it was sent")
        yield anew
    finally:
        await anew.aclose()
