"""What a client hasn't taken yet, of connections in any state."""

import asyncio

from proxy.web.unsent import unsent
from tests.support.certificates import Authority


async def test_a_connection_that_was_closed_twice_has_nothing_left(tmp_path):
    """asyncio's TLS forgets its connection at a second close: nothing waits there, and asking is
    no error.
    """
    authority = Authority(tmp_path)
    served: list[asyncio.Transport] = []

    def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport = writer.transport
        transport.close()
        transport.close()
        served.append(transport)

    server = await asyncio.start_server(
        serve, "127.0.0.1", 0, ssl=authority.server_context("127.0.0.1")
    )
    async with server:
        address = server.sockets[0].getsockname()
        _, writer = await asyncio.open_connection(*address, ssl=authority.client_context())
        while not served:
            await asyncio.sleep(0)
        assert unsent(served[0]) == 0
        writer.close()
