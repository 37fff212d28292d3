"""The link as a program of its own, steered over HTTP.

    python -m loadtest.link --listen 127.0.0.1:0 --to 127.0.0.1:5000 --round-trip 40ms --rate 100MB

prints one JSON line with its address and that of its control: there `GET /` gives the counts, and
`POST /cut`, `/refuse` and `/restore` do what they say. It ends on SIGTERM or SIGINT.
"""

import argparse
import asyncio
import json
import signal

import uvloop
from aiohttp import web

from loadtest.address import parse_address, show_address
from loadtest.link.control import Control
from loadtest.link.relay import Link, LinkSettings
from loadtest.units import parse_bytes, parse_seconds


def make_parser() -> argparse.ArgumentParser:
    """Give the command line of the link."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.link", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--to", type=parse_address, required=True, metavar="HOST:PORT")
    parser.add_argument("--listen", type=parse_address, default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--control", type=parse_address, default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--round-trip", type=parse_seconds, default=0.0, metavar="40ms")
    parser.add_argument("--rate", type=parse_bytes, default=None, metavar="100MB")
    parser.add_argument(
        "--connection-rate", type=parse_bytes, default=None, metavar="12MB", help="for each one"
    )
    return parser


async def serve(options: argparse.Namespace) -> None:
    """Relay until a signal comes."""
    settings = LinkSettings(options.round_trip, options.rate, options.connection_rate)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Link(options.to, settings, options.listen) as link:
        runner = web.AppRunner(Control(link).application(), access_log=None, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, *options.control).start()
        control = show_address(runner.addresses[0][:2])
        ready = {"event": "link.ready", "address": link.address, "control": control}
        print(json.dumps(ready), flush=True)
        await stopped.wait()
        await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve(make_parser().parse_args()))
