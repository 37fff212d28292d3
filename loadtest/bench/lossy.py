"""A way from a primary to its hub that loses some notifications: who posts one isn't told.

`python -m loadtest.bench.lossy HOST:PORT EVERY` says where it listens, and hands on what is posted.
After a `PUT /` it loses one in EVERY at random, which it answers 200. `GET /` gives the counts.
"""

import argparse
import json
import random
import signal
import sys
import threading
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

from loadtest.address import Address, parse_address, show_address
from loadtest.programs.program import Program, python_module

_SEED = 20_240_603
_SECONDS = 10.0
_OWN_HEADERS = frozenset({"host", "content-length", "connection", "accept-encoding"})


class LossyWay(Program):
    """The program, to a hub's address."""

    def __init__(self, folder: Path, hub: str, one_in: int, name: str = "lossy") -> None:
        command = python_module("loadtest.bench.lossy", hub, str(one_in))
        super().__init__(name, command, folder, self._ready)
        self.address = ""

    def begin(self) -> None:
        """Lose some from now on."""
        self._ask("PUT")

    def counts(self) -> dict[str, int]:
        """Give how many notifications were lost and handed on since it began."""
        return self._ask("GET")

    def _ask(self, method: str) -> dict[str, int]:
        with closing(HTTPConnection(*parse_address(self.address), timeout=_SECONDS)) as connection:
            connection.request(method, "/")
            counts: dict[str, int] = json.loads(connection.getresponse().read())
        return counts

    def _ready(self) -> None:
        self.address = self.wait_for_event("lossy.ready")["address"]


class _Way(ThreadingHTTPServer):
    """Where notifications come in."""

    daemon_threads = True

    def __init__(self, hub: Address, one_in: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.counts = Counter({"lost": 0, "handed_on": 0})
        self._hub, self._one_in = hub, one_in
        self._source = random.Random(_SEED)
        self._turn = threading.Lock()
        self._is_losing = False

    def begin(self) -> None:
        """Lose some from now on."""
        self._is_losing = True

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Lose it or hand it on; give the status to answer."""
        if self._is_losing and self._loses():
            return 200
        try:
            with closing(HTTPConnection(*self._hub, timeout=_SECONDS)) as connection:
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                answer.read()
                return answer.status
        except (OSError, HTTPException):
            return 502

    def _loses(self) -> bool:
        with self._turn:
            is_lost = self._source.randrange(self._one_in) == 0
            self.counts["lost" if is_lost else "handed_on"] += 1
        return is_lost


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _way(self) -> _Way:
        return cast(_Way, self.server)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        kept = {k: text for k, text in self.headers.items() if k.lower() not in _OWN_HEADERS}
        self._answer(self._way.take(self.path, kept, body), b"")

    def do_PUT(self) -> None:
        self._way.begin()
        self.do_GET()

    def do_GET(self) -> None:
        self._answer(200, json.dumps(self._way.counts).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a request isn't worth a line."""


def main() -> int:
    """Hand on until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.lossy", description=__doc__)
    parser.add_argument("hub", type=parse_address)
    parser.add_argument("one_in", type=int, metavar="EVERY")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _Way(options.hub, options.one_in) as way:
        address = show_address(way.server_address[:2])  # type: ignore[arg-type]  # it is IPv4
        print(json.dumps({"event": "lossy.ready", "address": address}), flush=True)
        way.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
