"""The contract: everything that can answer a pull gives a resolution or content."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from proxy.net.weather import NOWHERE, Place
from proxy.oci.descriptor import Descriptor
from proxy.oci.request import Pull
from proxy.oci.span import ByteSpan, RangeRequest
from proxy.telemetry.labels import Origin


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a pull leads to: the descriptor, who said so, and how old a stale answer is."""

    descriptor: Descriptor
    origin: Origin
    stale_seconds: float | None = None


class Growth(Protocol):
    """A file that grows while it is read, or has grown already.

    Bytes below `visible` may be sent. `visible` only rises, and reaches the size only when the
    digest has been checked.
    """

    @property
    def descriptor_number(self) -> int:
        """The open file's descriptor, good until the content is closed."""
        ...

    @property
    def visible(self) -> int: ...

    async def visible_beyond(self, offset: int, *, is_part: bool = False) -> int:
        """Wait until bytes after *offset* may be sent; give how far.

        With *is_part* everything that has arrived counts, the held-back tail included: a part
        that isn't the end of the content is no complete answer, and its reader verifies it.

        Raises: RegistryError: there will be no more.
        """
        ...

    def read_failed(self) -> None:
        """Say that bytes that may be sent couldn't be read."""
        ...

    def release(self) -> None:
        """Say that this reader is done."""
        ...


def _nothing() -> None:
    pass


@dataclass(slots=True)
class Bytes:
    """Content in memory."""

    resolution: Resolution
    span: ByteSpan
    data: bytes

    async def aclose(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class File:
    """Content in a file; `growth` tells how far it may be sent.

    `is_part` says that the span doesn't hold the last byte, so that it needn't wait for the digest.
    """

    resolution: Resolution
    span: ByteSpan
    growth: Growth
    is_part: bool = False
    on_close: Callable[[], None] = _nothing
    _is_closed: bool = field(default=False, init=False)

    async def aclose(self) -> None:
        """Let go of the file."""
        if not self._is_closed:
            self._is_closed = True
            self.growth.release()
            self.on_close()


@dataclass(slots=True)
class Stream:
    """Content on its way from the primary that is kept nowhere.

    Without `is_sized` the primary doesn't say how long it is: the descriptor's size is 0 then.
    `place` is where it comes from.
    """

    resolution: Resolution
    span: ByteSpan
    chunks: AsyncGenerator[bytes]
    on_close: Callable[[], None]
    is_sized: bool = True
    place: Place = NOWHERE
    _is_closed: bool = field(default=False, init=False)

    async def aclose(self) -> None:
        """End the transfer, begun or not: a generator that never ran wouldn't do it itself."""
        if self._is_closed:
            return
        self._is_closed = True
        await self.chunks.aclose()
        self.on_close()


Content = Bytes | File | Stream


class Puller(Protocol):
    """Whatever can answer a pull."""

    async def resolve(self, pull: Pull) -> Resolution:
        """Give what *pull* leads to, without its bytes.

        Raises: Absent: the primary said so. Unauthorized, Denied, Refused: this caller may not.
        Unavailable: nobody who could answer was reached.
        """
        ...

    async def open(self, pull: Pull, part: RangeRequest | None = None) -> Content:
        """Give the content of *pull*, or the part of it that *part* asks for.

        Shape:  the resolution is complete before the first byte; the span lies within it.
        Units:  span is half-open, in bytes; Content-Range is inclusive (RFC 9110, 14.4).
        Raises: as `resolve`; RangeInvalid: nothing of *part* lies inside. ContentMismatch: from
                the content's end, never earlier.
        Source: distribution-spec, "Pulling manifests" and "Pulling blobs" (end-3, end-2).
        """
        ...


class ReadyPuller(Puller, Protocol):
    """A puller that also tells what needs no waiting: most pulls are of that kind."""

    def at_hand(self, pull: Pull) -> Bytes | None:
        """Give content in memory that the caller may have right now, whole; None where anything
        has to be waited for, whatever that would lead to.
        """
        ...
