"""Bodies of uploads: sent when they are wanted, once, and as long as they said.

Rules:
- With `Expect: 100-continue` nothing is taken from the source before the 100, a refusal ends it.
- A body is taken once. Broken off it is never sent again: the rest of a chunked body, complete in
  form, would be taken for the whole.
- A connection on which a body was announced and not sent to its end isn't used again: what follows
  on it would be read as that body.
- What goes wrong at the source is the source's, and says nothing about the other side.
- The other side's every step (to take some bytes, to answer) has a deadline; the source's own
  waits are the source's to bound.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from proxy.oci.errors import SizeInvalid, Unavailable

ANSWER_WAIT_SECONDS = 1.0


class BodyNotAsked(Unavailable):
    """The primary neither asked for a body nor refused it, and the caller may not push unasked."""

    default_message = "the primary registry didn't ask for the upload"


async def _yes() -> bool:
    return True


class Patience:
    """A deadline for the other side's next step; it stands still while the next step is ours.

    Raises TimeoutError in the task that entered it.
    """

    def __init__(self, first_seconds: float, step_seconds: float) -> None:
        self._step_seconds = step_seconds
        self._first_seconds = first_seconds
        self._timeout: asyncio.Timeout | None = None

    async def __aenter__(self) -> Self:
        self._timeout = asyncio.timeout(self._first_seconds)
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        timeout, self._timeout = self._timeout, None
        if timeout is not None:
            await timeout.__aexit__(kind, error, trace)

    def start(self) -> None:
        """Begin to wait for the other side."""
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._step_seconds)

    def stop(self) -> None:
        """Wait for ourselves."""
        if self._timeout is not None:
            self._timeout.reschedule(None)


class UploadBody(aiohttp.payload.Payload):
    """A request body that streams from a generator once the other side wants it.

    With `Expect: 100-continue` it is written after the 100; where none comes within a second,
    *may_send_unasked* decides. *on_start* is called before the first byte is taken. `failure` is
    what went wrong at the source, or with the *size* in bytes that was announced.
    """

    _autoclose = True

    def __init__(
        self,
        chunks: AsyncGenerator[bytes],
        size: int | None,
        *,
        may_send_unasked: Callable[[], Awaitable[bool]] = _yes,
        on_start: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(chunks)
        self._chunks = chunks
        self._size = size
        self.may_send_unasked = may_send_unasked
        self._on_start = on_start
        self._patience: Patience | None = None
        self.failure: Exception | None = None

    @property
    def size(self) -> int | None:
        return self._size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("an upload is read once, while it is sent")

    def keep_to(self, patience: Patience) -> None:
        """Let *patience* run while bytes wait to be taken, and after the last one."""
        self._patience = patience

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        self._consumed = True
        patience = self._patience or Patience(0, 0)
        patience.stop()
        async with aclosing(self._taken()) as chunks:
            async for chunk in chunks:
                patience.start()
                await _write(writer, chunk)
                patience.stop()
        patience.start()

    async def _taken(self) -> AsyncGenerator[bytes]:
        """Give the source's chunks, as many bytes as were announced.

        Raises: whatever the source raises; SizeInvalid: it gives fewer bytes, or more.
        """
        left = self._size
        try:
            self._on_start()
            async with aclosing(self._chunks) as chunks:
                async for chunk in chunks:
                    left = None if left is None else left - len(chunk)
                    if left is not None and left < 0:
                        break
                    yield chunk
            if left:
                raise SizeInvalid("the body is not as long as it was announced")
        except Exception as exc:
            self.failure = exc
            raise


async def _write(writer: AbstractStreamWriter, chunk: bytes) -> None:
    try:
        await writer.write(chunk)
    except OSError:
        # It may have answered and closed: its answer is worth more than this error.
        await asyncio.sleep(ANSWER_WAIT_SECONDS)
        raise
