"""What a warm answer is compared with: an aiohttp handler that returns the same bytes.

`python -m loadtest.bench.bare ANSWER` reads headers and body from a file, prints one JSON line with
its address, and ends on SIGTERM. One process, uvloop, no router, no middleware, no log.
"""

import argparse
import asyncio
import json
import signal
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path

import uvloop
from aiohttp import web

from loadtest.address import show_address
from loadtest.bench.client import Got
from loadtest.programs.program import Program, python_module


class BareHandler(Program):
    """The handler as a program."""

    def __init__(self, folder: Path, answer: Got, name: str = "bare") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "answer.json"
        body = b64encode(answer.body).decode()
        file.write_text(json.dumps({"headers": _kept(answer.headers), "body": body}))
        command = python_module("loadtest.bench.bare", str(file))
        super().__init__(name, command, folder, self._ready)
        self.url = ""

    def _ready(self) -> None:
        self.url = f"http://{self.wait_for_event('bare.ready')['address']}"


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Leave out what aiohttp writes by itself."""
    own = {"content-length", "date", "server", "connection"}
    return {name.title(): text for name, text in headers.items() if name not in own}


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.bare", description=__doc__)
    parser.add_argument("answer", type=Path)
    answer = json.loads(parser.parse_args().answer.read_text())
    uvloop.run(_serve(b64decode(answer["body"]), answer["headers"]))


async def _serve(body: bytes, headers: dict[str, str]) -> None:
    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body, headers=headers)

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    address = show_address(runner.addresses[0][:2])
    print(json.dumps({"event": "bare.ready", "address": address}), flush=True)
    await stopped.wait()
    await runner.cleanup()


if __name__ == "__main__":
    main()
