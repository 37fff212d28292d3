"""A tiny registry as a program: `python -m loadtest.tiny --blobs 64 --size 256MiB`.

It prints one JSON line with its address, the digests of what it holds, and ends on SIGTERM.
"""

import argparse
import asyncio
import json
import random
import signal

import uvloop
from aiohttp import web

from loadtest.address import show_address
from loadtest.image import LAYER_TYPE
from loadtest.login import Login
from loadtest.tiny.content import Content
from loadtest.tiny.fixed import LARGE_TAG, LAYER_SIZES_BYTES, REPOSITORY, TAG
from loadtest.tiny.registry import TinyRegistry
from loadtest.units import parse_bytes

_PIECE_BYTES = 2**20


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.tiny", description=__doc__)
    parser.add_argument("--login", default="", metavar="NAME:PASSWORD")
    parser.add_argument("--blobs", type=int, default=0)
    parser.add_argument("--size", type=parse_bytes, default=2**20)
    parser.add_argument("--seed", type=int, default=1)
    uvloop.run(_serve(parser.parse_args()))


async def _serve(options: argparse.Namespace) -> None:
    source = random.Random(options.seed)
    content = Content()
    layers = [content.add(LAYER_TYPE, source.randbytes(size)) for size in LAYER_SIZES_BYTES]
    index = content.add_image(REPOSITORY, TAG, layers)
    shared = _random_bytes(source, options.size) if options.blobs else b""
    large = content.add_large(options.blobs, shared)
    content.add_image(REPOSITORY, LARGE_TAG, large)
    registry = TinyRegistry(content, Login.parse(options.login))
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    runner = web.AppRunner(registry.application(), access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    address = show_address(runner.addresses[0][:2])
    ready = {
        "event": "tiny.ready",
        "address": address,
        "index": index["digest"],
        "layers": [layer["digest"] for layer in layers],
        "blobs": [layer["digest"] for layer in large],
    }
    print(json.dumps(ready), flush=True)
    await stopped.wait()
    await runner.cleanup()


def _random_bytes(source: random.Random, size: int) -> bytes:
    """Give *size* random bytes; `randbytes` alone ends below 256 MiB."""
    pieces = [source.randbytes(_PIECE_BYTES) for _ in range(size // _PIECE_BYTES)]
    return b"".join([*pieces, source.randbytes(size % _PIECE_BYTES)])


if __name__ == "__main__":
    main()
