"""Bytes from a file to a plain socket without a copy.

uvloop has no `loop.sendfile`, and aiohttp falls back to copying without saying so; so the kernel
call is driven here, on a duplicate of the socket's descriptor, by the loop's writer callback.
`add_writer` on the transport's own descriptor raises; `transport.abort()` ends nothing while the
duplicate lives, so that is closed first. Pages that aren't in the cache are read in a thread.
"""

import asyncio
import errno
import os
from collections.abc import Callable
from concurrent.futures import Executor

from proxy.registry.page_cache import is_cached
from proxy.web.turns import Turns
from proxy.web.unsent import unsent_in_kernel

SENDFILE_BYTES = 256 << 10
BUFFER_EMPTY_POLL_SECONDS = 0.002

_WAY_IS_LOST = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.ENONET}
)
"""What a socket says besides Python's ConnectionError and TimeoutError when its peer is gone."""


class FileReadFailed(Exception):
    """The file ended early or can't be read."""


class PlainSender:
    """Sends parts of files on one connection; close it before the transport is used again.

    *count* hears of bytes as they leave. *timeout*: seconds that a client may take none.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        executor: Executor,
        turns: Turns,
        timeout: float,
        count: Callable[[int], None],
    ) -> None:
        self._transport = transport
        self._turns = turns
        self._executor = executor
        self._timeout = timeout
        self._count = count
        self._loop = asyncio.get_running_loop()
        self._socket = os.dup(transport.get_extra_info("socket").fileno())

    def close(self) -> None:
        """Let go of the duplicate."""
        os.close(self._socket)

    async def headers_are_out(self) -> None:
        """Wait until what was written to the transport has left its buffer.

        Raises: TimeoutError: the client took nothing for so long. ConnectionError.
        """
        async with asyncio.timeout(self._timeout):
            await asyncio.sleep(0)
            while self._transport.get_write_buffer_size():
                if self._transport.is_closing():
                    raise ConnectionResetError
                await asyncio.sleep(BUFFER_EMPTY_POLL_SECONDS)

    async def send(self, file: int, start: int, stop: int) -> None:
        """Send bytes *start* up to *stop* of an open file.

        Raises: FileReadFailed. TimeoutError: the client took nothing for so long.
        ConnectionError: it is gone.
        """
        while start < stop:
            count = min(SENDFILE_BYTES, stop - start)
            if not is_cached(file, start, count):
                await read_ahead(self._executor, file, start, count)
            await self._turns.take()
            start += await self._send_some(file, start, count)

    async def _send_some(self, file: int, start: int, count: int) -> int:
        try:
            sent = os.sendfile(self._socket, file, start, count)
        except BlockingIOError:
            await self._wait_until_writable()
            return 0
        except (ConnectionError, TimeoutError):
            raise
        except OSError as exc:
            if exc.errno in _WAY_IS_LOST:
                raise
            raise FileReadFailed(str(exc)) from exc
        if sent == 0:
            raise FileReadFailed("the file is shorter than it was")
        self._count(sent)
        return sent

    async def _wait_until_writable(self) -> None:
        """Wait for room in the kernel's buffer, for as long as the client takes bytes out of it.

        The kernel tells of room only when a good part of some MiB is free, which takes a slow
        client long.
        """
        writable = self._loop.create_future()
        self._loop.add_writer(self._socket, _wake, writable)
        try:
            unsent = unsent_in_kernel(self._socket)
            while not (await asyncio.wait((writable,), timeout=self._timeout))[0]:
                before, unsent = unsent, unsent_in_kernel(self._socket)
                if unsent >= before:
                    raise TimeoutError("the client takes nothing")
        finally:
            self._loop.remove_writer(self._socket)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def read_part(executor: Executor, file: int, start: int, count: int) -> bytes:
    """Give up to *count* bytes of a file, at least one; in a thread where that takes the disk.

    Raises: FileReadFailed.
    """
    if not is_cached(file, start, count):
        data = await read_ahead(executor, file, start, count)
    else:
        data = _pread(file, count, start)
    if not data:
        raise FileReadFailed("the file is shorter than it was")
    return data


async def read_ahead(executor: Executor, file: int, start: int, count: int) -> bytes:
    """Read a part of a file in a thread, which brings it into the page cache.

    Raises: FileReadFailed.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(executor, _pread, file, count, start)


def _pread(file: int, count: int, start: int) -> bytes:
    try:
        return os.pread(file, count, start)
    except OSError as exc:
        raise FileReadFailed(str(exc)) from exc
