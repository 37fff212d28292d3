"""Peers for the link, and a registry for the load tool; all on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from loadtest.address import Address, parse_address, show_address
from loadtest.link import Link, LinkSettings
from loadtest.login import Login
from loadtest.tiny import Content, TinyRegistry

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LOGIN = Login("node", "its password")


@pytest.fixture
async def listening() -> AsyncIterator[Callable[[Talk], Awaitable[Address]]]:
    """Gives a function that serves with a coroutine for each connection, and gives its address."""
    async with contextlib.AsyncExitStack() as stack:

        async def listen(talk: Talk) -> Address:
            async def talk_and_close(reader, writer):
                with contextlib.suppress(ConnectionError):
                    await talk(reader, writer)
                writer.close()

            server = await asyncio.start_server(talk_and_close, "127.0.0.1", 0)
            stack.callback(server.close)
            return server.sockets[0].getsockname()[:2]

        yield listen


@pytest.fixture
async def linked(listening) -> AsyncIterator[Callable[..., Awaitable[Link]]]:
    """Gives a function that puts a link in front of what a coroutine serves."""
    async with contextlib.AsyncExitStack() as stack:

        async def link(talk: Talk, **settings: float) -> Link:
            return await stack.enter_async_context(
                Link(await listening(talk), LinkSettings(**settings))
            )

        yield link


@pytest.fixture
async def connected() -> AsyncIterator[
    Callable[[Link], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
]:
    """Gives a function that connects to a link."""
    writers: list[asyncio.StreamWriter] = []

    async def connect(link: Link):
        reader, writer = await asyncio.open_connection(*parse_address(link.address))
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.close()


@pytest.fixture
async def serving() -> AsyncIterator[Callable[..., Awaitable[tuple[str, TinyRegistry]]]]:
    """Gives a function that serves contents as a registry, and gives its URL and the registry."""
    async with contextlib.AsyncExitStack() as stack:

        async def serve(content: Content, login: Login | None = None):
            registry = TinyRegistry(content, login)
            runner = web.AppRunner(registry.application(), shutdown_timeout=0)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return f"http://{show_address(runner.addresses[0][:2])}", registry

        yield serve
