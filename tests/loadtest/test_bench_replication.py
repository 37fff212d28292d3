"""The benchmarks' own parts of replication see what happened, and lose only what they say."""

import asyncio
import json
import threading
import time
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from loadtest.address import parse_address, show_address
from loadtest.bench.arrivals import Arrivals
from loadtest.bench.lossy import LossyWay
from loadtest.bench.subscribers import Following, Subscribers
from loadtest.programs import ProgramFailed

EPOCH = "8f3a5c1be09d7742"
STREAMS, EVENTS, LATE_SECONDS = 5, 20, 2.0


def line(event, reference, at=1.5):
    said = {"time": at, "event": event, "reference": reference, "digest": "sha256:1", "bytes": 7}
    return json.dumps(said, separators=(",", ":")) + "\n"


def test_an_arrival_has_the_time_at_which_it_was_complete(tmp_path):
    """The first completion counts, with the time in its line; half a line isn't read yet."""
    log = tmp_path / "replica.log"
    whole = line("replication.complete", "v2", 3.25)
    log.write_text(
        line("replication.failed", "v1") + line("replication.complete", "v1") + whole[:9]
    )
    arrivals = Arrivals(log)
    (first,) = arrivals.wait_for([("v1", "sha256:1")], 5)
    assert (first.at, first.moved_bytes, arrivals.failures) == (1.5, 7, 1)
    with log.open("a") as more:
        more.write(whole[9:] + line("replication.complete", "v1", 9.0))
    found = arrivals.wait_for([("v2", "sha256:1"), ("v1", "sha256:1")], 5)
    assert [each.at for each in found] == [3.25, 1.5]


def test_what_never_arrives_is_no_arrival(tmp_path):
    """A copy that isn't complete in time is an error that names it."""
    log = tmp_path / "replica.log"
    log.write_text(line("replication.failed", "v1"))
    with pytest.raises(ProgramFailed, match=r"1 of 1 copies aren't complete.*v1.*1 attempts"):
        Arrivals(log).wait_for([("v1", "sha256:1")], 0.1)


@pytest.fixture
def hub():
    """Takes notifications; gives its address and what it has got."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, self.headers["X-Secret"], body))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield show_address(server.server_address[:2]), got
        server.shutdown()
        thread.join()


def test_a_lossy_way_loses_what_it_counts_and_nothing_before(hub, tmp_path):
    """Everything is handed on as it came until it is told to begin; then its counts are right."""
    address, got = hub
    with LossyWay(tmp_path, address, one_in=3) as way:
        first = [post(way, number) for number in range(10)]
        way.begin()
        later = [post(way, number) for number in range(10, 70)]
        counts = way.counts()
    assert first == [202] * 10
    assert got[:10] == [("/notifications?sender=x", "s", b"%d" % n) for n in range(10)]
    assert len(got) - 10 == counts["handed_on"] == later.count(202)
    assert counts["lost"] == later.count(200) == 60 - counts["handed_on"]
    assert 5 < counts["lost"] < 40


def post(way, number):
    with closing(HTTPConnection(*parse_address(way.address), timeout=10)) as connection:
        headers = {"X-Secret": "s"}
        connection.request("POST", "/notifications?sender=x", b"%d" % number, headers)
        return connection.getresponse().status


@pytest.mark.parametrize("cut_bytes", [0, 11])
async def test_subscribers_say_how_late_the_latest_event_of_each_stream_was(
    listening, tmp_path, cut_bytes
):
    """The lag is that of the events that came late, wherever bytes were cut on their way."""
    loop = asyncio.get_running_loop()
    tokens = tmp_path / "tokens"
    tokens.write_text("\n".join(f"token{number}" for number in range(STREAMS)))

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        assert f"after={EPOCH}:0 ".encode() in head
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await writer.drain()
        await ready.wait()
        for seq in range(1, EVENTS + 1):
            data = notice(seq, received_at + seq / 1000)
            writer.write(data[:cut_bytes])
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(data[cut_bytes:])
            await writer.drain()

    ready, received_at = asyncio.Event(), time.time() - LATE_SECONDS
    address = show_address(await listening(answer))
    following = Following(address, f"{EPOCH}:0", tokens, EVENTS)
    program = Subscribers(tmp_path, following)
    await loop.run_in_executor(None, program.start)
    try:
        ready.set()
        lags = await loop.run_in_executor(None, program.lags)
    finally:
        program.end()
    assert len(lags) == STREAMS
    assert all(0.9 * LATE_SECONDS < lag < LATE_SECONDS + 20 for lag in lags)


def notice(seq, at):
    data = json.dumps({"received_at": at, "event": {}}, separators=(",", ":"))
    return f"id: {EPOCH}:{seq}\nevent: notice\ndata: {data}\n\n".encode()
