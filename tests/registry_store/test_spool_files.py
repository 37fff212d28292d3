"""New files in the spool: their space is claimed at once, or nothing of them stays."""

import asyncio
import errno
import os
import threading

import pytest

from proxy.registry.spool import create_spool_file, open_spool_file
from tests.registry_store.ground import open_files, spooled


@pytest.mark.parametrize("size", [None, 0, 1, 5_000_000])
async def test_space_is_claimed_at_the_start(tree, size):
    """Settled 23: "no room" is told before the first byte; a file is readable by others later."""
    _, descriptor = create_spool_file(tree.layout.spool, size)
    found = os.fstat(descriptor)
    os.close(descriptor)
    assert found.st_size == (size or 0)
    assert found.st_blocks * 512 >= (size or 0)
    assert found.st_mode & 0o444 == 0o444


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
async def test_where_there_is_no_room_nothing_stays(tree, monkeypatch, number):
    """C20: a claim that fails leaves neither a file nor a descriptor."""

    def fails(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", fails)
    with pytest.raises(OSError, match=os.strerror(number)):
        create_spool_file(tree.layout.spool, 1000)
    assert spooled(tree) == []
    assert open_files(tree.layout.spool) == []


async def test_a_caller_that_left_leaves_no_file(tree, monkeypatch):
    """C25: a file whose maker was cancelled in between is removed, its descriptor closed."""
    entered, opened, real = threading.Event(), threading.Event(), os.posix_fallocate

    def slow(*arguments):
        entered.set()
        assert opened.wait(10)
        real(*arguments)

    monkeypatch.setattr(os, "posix_fallocate", slow)
    making = asyncio.create_task(open_spool_file(tree, 1000))
    assert await asyncio.to_thread(entered.wait, 10)
    making.cancel()
    await asyncio.sleep(0)
    opened.set()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert spooled(tree) == []
    assert open_files(tree.layout.spool) == []
