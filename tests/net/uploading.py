"""Uploads whose source the test writes, and primaries that take them."""

import asyncio
from collections.abc import AsyncGenerator

from proxy.net.session import Outgoing
from proxy.net.upload import UploadBody
from tests.net.peer import Call, Handler

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WRITES = ("PATCH", "PUT", "POST")
CONTINUE_WAIT_SECONDS = 0.1
READ_TIMEOUT = 0.4


class Source:
    """An upload's bytes, pauses in seconds and errors, and what became of them."""

    def __init__(self, *steps: bytes | float | Exception) -> None:
        self._steps = steps
        self.taken = 0
        self.is_ended = False

    async def __call__(self) -> AsyncGenerator[bytes]:
        try:
            for step in self._steps:
                match step:
                    case bytes():
                        self.taken += len(step)
                        yield step
                    case float():
                        await asyncio.sleep(step)
                    case _:
                        raise step
        finally:
            self.is_ended = True


def upload(
    source: Source, size: int | None, *, method: str = "PATCH", may_send_unasked: bool = True
) -> Outgoing:
    """Give a request that sends *source* once it is asked for."""

    async def may_send() -> bool:
        return may_send_unasked

    body = UploadBody(source(), size, may_send_unasked=may_send)
    return Outgoing(method, "/upload", {}, body, is_continue_expected=True)


def willing(bodies: list[bytes]) -> Handler:
    """Give a handler that asks for every body, and notes it."""

    async def handle(call: Call) -> None:
        while True:
            request = await call.head()
            if request.expects_continue:
                await call.send(CONTINUE)
            bodies.append(await call.body(request))
            await call.answer(201)

    return handle


async def nothing_comes(call: Call, seconds: float) -> bool:
    """Say whether no byte comes for a while."""
    try:
        async with asyncio.timeout(seconds):
            return not await call.reader.read(1)
    except TimeoutError:
        return True
