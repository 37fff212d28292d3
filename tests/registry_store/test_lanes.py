"""Lanes: what they opened is closed, whenever they are ended."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from proxy.oci.descriptor import OCTET_STREAM, Descriptor
from proxy.oci.digest import Digest
from proxy.oci.span import ByteSpan
from proxy.registry import lanes
from proxy.registry.puller import Resolution, Stream
from proxy.telemetry.labels import Origin


async def nothing() -> AsyncGenerator[bytes]:
    """Give no bytes."""
    for chunk in ():
        yield chunk


@pytest.mark.parametrize("steps", range(6))
async def test_a_stream_is_closed_though_its_lane_is_cancelled(steps: int) -> None:
    """C8: a lane that is cancelled while it lets go of a stream leaves no connection open."""
    closed: list[bool] = []
    resolution = Resolution(Descriptor(OCTET_STREAM, Digest.of(b""), 0), Origin.PRIMARY)
    stream = Stream(resolution, ByteSpan(0, 0), nothing(), lambda: closed.append(True))
    opening = asyncio.create_task(lanes._given(stream))
    await opening
    closing = asyncio.create_task(lanes._close(opening))
    await asyncio.sleep(0)
    for _ in range(steps):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    assert closed == [True]
