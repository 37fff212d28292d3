"""Many replicas that follow one hub, as one program that does nothing but look at what comes.

`python -m loadtest.bench.subscribers HOST:PORT CURSOR TOKENS UNTIL` opens a stream for each line of
the file TOKENS behind CURSOR (EPOCH:SEQ), says so, reads until each has event number UNTIL, and
prints how late each was at its latest: the time from an event's receipt at the hub to its arrival.
"""

import argparse
import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from loadtest.address import Address, parse_address
from loadtest.programs.program import Program, python_module

_READ_BYTES = 262_144
_TAIL_BYTES = 64  # longer than an id: one that is cut in two is found with what follows
_IDLE_SECONDS = 30.0
_LIMIT_SECONDS = 120.0
_RECEIVED = b'"received_at":'


@dataclass(frozen=True, slots=True)
class Following:
    """Where the streams are, and what they are to read."""

    hub: str
    cursor: str
    tokens: Path
    until: int


class Subscribers(Program):
    """The program; `lags` waits for its end and gives each stream's latest, in seconds."""

    def __init__(self, folder: Path, following: Following, name: str = "subscribers") -> None:
        arguments = (following.hub, following.cursor, str(following.tokens), str(following.until))
        command = python_module("loadtest.bench.subscribers", *arguments)
        super().__init__(name, command, folder, self._ready)

    def lags(self) -> list[float]:
        """Give how late each stream was at its latest.

        Raises: ProgramFailed: they don't get everything.
        """
        lags: list[float] = self.wait_for_event("subscribers.done", _LIMIT_SECONDS)["lags"]
        return lags

    def _ready(self) -> None:
        self.wait_for_event("subscribers.ready")


class _Stream:
    """One connection: the number of its newest event, and its largest lag."""

    def __init__(self, hub: Address, cursor: str, token: str) -> None:
        self.seq = 0
        self.lag_seconds = 0.0
        self._id = f"id: {cursor.partition(':')[0]}:".encode()
        self._tail = b""
        self.socket = socket.create_connection(hub)
        request = (
            f"GET /v1/events?after={cursor} HTTP/1.1\r\nHost: hub\r\n"
            f"Accept: text/event-stream\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        self.socket.sendall(request.encode())

    def read(self) -> bool:
        """Take what has come; False: the stream has ended."""
        chunk = self.socket.recv(_READ_BYTES)
        now = time.time()
        data = self._tail + chunk
        # The oldest event of what has come: events are in the order in which they were received.
        begin = data.find(_RECEIVED, max(0, len(self._tail) - len(_RECEIVED) + 1))
        if begin >= 0 and (end := data.find(b",", begin)) >= 0:
            self.lag_seconds = max(self.lag_seconds, now - float(data[begin + 14 : end]))
        begin = data.rfind(self._id)
        if begin >= 0 and (end := data.find(b"\n", begin)) >= 0:
            self.seq = int(data[begin + len(self._id) : end])
        self._tail = data[-_TAIL_BYTES:]
        return bool(chunk)


def main() -> int:
    """Follow; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.subscribers")
    parser.add_argument("hub", type=parse_address)
    parser.add_argument("cursor")
    parser.add_argument("tokens", type=Path)
    parser.add_argument("until", type=int)
    options = parser.parse_args()
    tokens = options.tokens.read_text().split()
    streams = [_Stream(options.hub, options.cursor, token) for token in tokens]
    for stream in streams:
        if b" 200 " not in stream.socket.recv(15, socket.MSG_PEEK | socket.MSG_WAITALL):
            print(stream.socket.recv(_READ_BYTES).decode("utf-8", "replace"), file=sys.stderr)
            return 1
    print(json.dumps({"event": "subscribers.ready"}), flush=True)
    if not _read_all(streams, options.until):
        return 1
    lags = [stream.lag_seconds for stream in streams]
    print(json.dumps({"event": "subscribers.done", "lags": lags}), flush=True)
    return 0


def _read_all(streams: list[_Stream], until: int) -> bool:
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.socket, selectors.EVENT_READ, stream)
        behind = len(streams)
        while behind:
            ready = selector.select(_IDLE_SECONDS)
            if not ready:
                print(f"{behind} streams got nothing for too long", file=sys.stderr)
                return False
            for key, _ in ready:
                ready_one: _Stream = key.data
                is_open = ready_one.read()
                if ready_one.seq >= until:
                    selector.unregister(ready_one.socket)
                    behind -= 1
                elif not is_open:
                    print(f"cut at event {ready_one.seq} of {until}", file=sys.stderr)
                    return False
    return True


if __name__ == "__main__":
    sys.exit(main())
