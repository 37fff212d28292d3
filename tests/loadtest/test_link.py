"""The link emulator: lower bounds are exact, since it may never be faster than said; upper bounds
leave room for a busy machine, and hold for the best of some tries.
"""

import asyncio
import socket
import time

import pytest

from loadtest.address import free_address, parse_address
from loadtest.link import Link, LinkSettings

ROUND_TRIP = 0.060
EARLY = 0.002  # the resolution of the loops' timers
TRIES = 4


async def echo(reader, writer):
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


def sending(size_bytes):
    """Give a server that sends so many bytes to who connects and says something."""

    async def send(reader, writer):
        await reader.read(1)
        writer.write(bytes(size_bytes))
        await writer.drain()

    return send


async def ask(reader, writer, *, size_bytes=1):
    """Give how long it takes until *size_bytes* have come for one byte sent."""
    started = time.monotonic()
    writer.write(b"?")
    await reader.readexactly(size_bytes)
    return time.monotonic() - started


async def test_a_byte_and_its_answer_take_one_round_trip(linked, connected):
    link = await linked(echo, round_trip_seconds=ROUND_TRIP)
    reader, writer = await connected(link)
    await ask(reader, writer)
    times = [await ask(reader, writer) for _ in range(TRIES)]
    assert min(times) >= ROUND_TRIP - 2 * EARLY
    assert min(times) < ROUND_TRIP * 1.25


async def test_a_new_connection_costs_one_round_trip_before_its_first_byte(linked, connected):
    link = await linked(echo, round_trip_seconds=ROUND_TRIP)
    times = [await ask(*await connected(link)) for _ in range(TRIES)]
    assert min(times) >= 2 * ROUND_TRIP - 4 * EARLY
    assert min(times) < 2 * ROUND_TRIP * 1.25


async def test_the_rate_holds_for_all_connections_together(linked, connected):
    rate, size = 20e6, 1_000_000
    link = await linked(sending(size), rate_bytes_per_second=rate)
    times = []
    for _ in range(2):
        pairs = [await connected(link) for _ in range(4)]
        started = time.monotonic()
        await asyncio.gather(*(ask(*pair, size_bytes=size) for pair in pairs))
        times.append(time.monotonic() - started)
    assert min(times) >= 4 * size / rate * 0.95
    assert min(times) < 4 * size / rate * 1.3


async def test_connections_share_the_rate_evenly(linked, connected):
    rate, size = 20e6, 1_000_000
    link = await linked(sending(size), rate_bytes_per_second=rate)
    pairs = [await connected(link) for _ in range(4)]
    times = await asyncio.gather(*(ask(*pair, size_bytes=size) for pair in pairs))
    assert min(times) > max(times) * 0.7


async def test_one_connection_gets_no_more_than_its_own_rate(linked, connected):
    size = 500_000
    link = await linked(
        sending(size), rate_bytes_per_second=40e6, connection_rate_bytes_per_second=5e6
    )
    alone = min([await ask(*await connected(link), size_bytes=size) for _ in range(2)])
    assert size / 5e6 * 0.95 <= alone < size / 5e6 * 1.4
    pairs = [await connected(link) for _ in range(4)]
    times = await asyncio.gather(*(ask(*pair, size_bytes=size) for pair in pairs))
    assert max(times) < size / 5e6 * 2, "four at once take no longer than one"


async def test_delay_stays_exact_for_a_small_message_beside_a_bulk_transfer(linked, connected):
    async def both(reader, writer):
        while data := await reader.read(1):
            writer.write(bytes(8_000_000) if data == b"!" else data)
            await writer.drain()

    link = await linked(both, round_trip_seconds=ROUND_TRIP, rate_bytes_per_second=40e6)
    bulk_reader, bulk_writer = await connected(link)
    reader, writer = await connected(link)
    await ask(reader, writer)
    bulk_writer.write(b"!")
    await bulk_reader.readexactly(100_000)
    bulk = asyncio.ensure_future(bulk_reader.readexactly(7_900_000))
    times = [await ask(reader, writer) for _ in range(2)]
    assert not bulk.done(), "the bulk transfer was over before the question was answered"
    assert ROUND_TRIP - 2 * EARLY <= min(times) < ROUND_TRIP * 1.5
    await bulk


async def test_all_bytes_arrive_in_order_and_are_counted(linked, connected):
    data = bytes(range(256)) * 8_000
    link = await linked(echo, round_trip_seconds=0.01, rate_bytes_per_second=200e6)
    reader, writer = await connected(link)
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    counts = link.counts
    assert (counts.connections, counts.up_bytes, counts.down_bytes) == (1, len(data), len(data))


async def test_the_end_of_a_stream_comes_behind_its_last_byte_and_leaves_the_other_way_open(
    linked, connected
):
    async def answer_at_the_end(reader, writer):
        writer.write(b"%d" % len(await reader.read()))
        await writer.drain()

    link = await linked(answer_at_the_end, round_trip_seconds=0.02)
    reader, writer = await connected(link)
    writer.write(bytes(300_000))
    writer.write_eof()
    assert await reader.read() == b"300000"


async def test_what_is_on_its_way_is_bounded_when_nobody_reads(linked):
    async def send_for_ever(_reader, writer):
        while True:
            writer.write(bytes(1_000_000))
            await writer.drain()

    link = await linked(send_for_ever, round_trip_seconds=0.02, rate_bytes_per_second=100e6)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, parse_address(link.address))
        await asyncio.sleep(0.4)
        taken = link.counts.down_bytes
        await asyncio.sleep(0.1)
        assert link.counts.down_bytes == taken, "still taking bytes in"
        window, socket_buffers = 2_000_000, 5_000_000
        assert 0 < taken < window + socket_buffers


async def test_a_cut_resets_open_connections_and_takes_new_ones(linked, connected):
    link = await linked(echo)
    reader, writer = await connected(link)
    await ask(reader, writer)
    link.cut()
    with pytest.raises(ConnectionError):
        await reader.readexactly(1)
    assert link.counts.cut == 1
    assert await ask(*await connected(link)) > 0


async def test_a_cut_can_wait_for_a_number_of_bytes(linked, connected):
    link = await linked(sending(5_000_000), rate_bytes_per_second=50e6)
    link.cut_after(1_000_000)
    reader, writer = await connected(link)
    writer.write(b"?")
    with pytest.raises(ConnectionError):
        await reader.readexactly(5_000_000)
    assert 1_000_000 <= link.counts.down_bytes <= 1_100_000


async def test_an_outage_resets_new_connections_until_it_is_over(linked, connected):
    link = await linked(echo, round_trip_seconds=0.02)
    link.refuse()
    started = time.monotonic()
    reader, _ = await connected(link)
    with pytest.raises(ConnectionError):
        await reader.readexactly(1)
    assert time.monotonic() - started >= 0.02 - 2 * EARLY
    assert link.counts.refused == 1
    link.restore()
    assert await ask(*await connected(link)) > 0


async def test_where_nothing_listens_a_connection_is_reset(connected):
    async with Link(free_address(), LinkSettings()) as link:
        reader, _ = await connected(link)
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
        assert (link.counts.connections, link.counts.refused) == (0, 1)


async def test_a_client_that_resets_ends_its_connection_at_the_server(linked, connected):
    ended = asyncio.Event()

    async def send_until_reset(reader, writer):
        try:
            while True:
                writer.write(bytes(100_000))
                await writer.drain()
        except ConnectionError:
            ended.set()

    link = await linked(send_until_reset, round_trip_seconds=0.02)
    reader, writer = await connected(link)
    await reader.readexactly(100_000)
    writer.transport.abort()
    async with asyncio.timeout(5):
        await ended.wait()


async def test_leaving_the_link_closes_what_is_open(listening, connected):
    address = await listening(echo)
    async with Link(address, LinkSettings()) as link:
        place = parse_address(link.address)
        reader, writer = await connected(link)
        await ask(reader, writer)
    with pytest.raises(ConnectionError):
        await reader.readexactly(1)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*place)
