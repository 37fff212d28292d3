"""The hub alone: how fast it takes events in, and how fast five hundred replicas hear of them."""

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from loadtest.address import parse_address
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, at_least, at_most
from loadtest.bench.subscribers import Following, Subscribers
from loadtest.bench.world import join_token, region_names
from loadtest.bench.wrk import Endpoint, drive
from loadtest.image import MANIFEST_TYPE
from loadtest.programs import Hub, ProgramFailed
from loadtest.units import show_seconds

_NOWHERE = "http://127.0.0.1:9"
_SENDERS = 64
_STREAMS = 500
_EVENTS_PER_SECOND = 200
_NUMBER = "NUMBER"
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")

# As a stock registry posts it.
_ENVELOPE = json.dumps(
    {
        "events": [
            {
                "id": f"bench-{_NUMBER}",
                "timestamp": "2026-01-02T03:04:05.678Z",
                "action": "push",
                "target": {
                    "mediaType": MANIFEST_TYPE,
                    "size": 1521,
                    "digest": f"sha256:{'5' * 64}",
                    "length": 1521,
                    "repository": "bench/app",
                    "url": f"http://primary/v2/bench/app/manifests/sha256:{'5' * 64}",
                    "tag": f"t{_NUMBER}",
                },
                "request": {
                    "id": "4c22a4a5-6a53-4a3f-9b27-0c8d5d5f0e2a",
                    "addr": "10.0.0.1:40000",
                    "host": "primary",
                    "method": "PUT",
                    "useragent": "buildkit/0.12",
                },
                "actor": {"name": "ci"},
                "source": {"addr": "primary:5000", "instanceID": "8d0ad8f2"},
            }
        ]
    }
)
_POSTS = """\
local number, envelope = 0, [==[%s]==]
request = function()
  number = number + 1
  return wrk.format("POST", nil, nil, (envelope:gsub("NUMBER", number)))
end
"""


class HubIntake:
    """Sixty-four senders that post one event at a time, each as soon as it has its 202."""

    name = "hub-intake"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the events a second, and look after a kill whether all that were taken are there."""
        room = lab.room(self.name)
        with Hub(room, primary=_NOWHERE) as hub:
            headers = {**hub.sender, "Content-Type": "application/json"}
            endpoint = Endpoint(hub.notifications, headers)
            seconds = 2 * lab.window_seconds
            pace = drive(endpoint, _SENDERS, seconds, room, _POSTS % _ENVELOPE)
            os.kill(hub.pid, signal.SIGKILL)
        taken = round(pace.requests_per_second * seconds)
        kept = _kept(room / "hub.db")
        if kept < 0.99 * taken:
            raise ProgramFailed(f"{kept} of {taken} events that were answered 202 are there")
        yield Measurement(
            f"hub: events taken in from {_SENDERS} senders, each durable before its 202",
            pace.requests_per_second,
            at_least(2_000, "/s"),
            f"202 after {show_seconds(pace.p50_seconds)}, p99 {show_seconds(pace.p99_seconds)};"
            f" {kept:,} there after kill -9",
        )


class HubStreams:
    """Events come at a steady pace; the hub has one core, the streams' reader another."""

    name = "hub-streams"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give how late the slowest stream was at its latest."""
        room, regions = lab.room(self.name), region_names(_STREAMS)
        events = round(_EVENTS_PER_SECOND * 4 * lab.window_seconds)
        with ExitStack() as stack:
            settings = {"replicas": {"regions": regions}}
            hub = stack.enter_context(Hub(room, primary=_NOWHERE, settings=settings))
            tokens = [join_token(hub, region.partition("=")[0]) for region in regions]
            file = room / "tokens"
            file.write_text("\n".join(tokens))
            following = Following(hub.address, f"{_epoch(hub, tokens[0])}:0", file, events)
            streams = stack.enter_context(Subscribers(room, following))
            _pin(hub.pid)
            busy_before, began_at = _busy_seconds(hub.pid), time.monotonic()
            _post_steadily(hub, events)
            lags = streams.lags()
            load = (_busy_seconds(hub.pid) - busy_before) / (time.monotonic() - began_at)
        yield Measurement(
            f"hub on one core, {_STREAMS} streams, {_EVENTS_PER_SECOND} events/s: the latest event",
            max(lags) * 1000,
            at_most(1_000, "ms"),
            f"of the slowest stream; {show_seconds(median(lags))} of half of them;"
            f" {len(lags) * events:,} deliveries, {load:.0%} of the core",
        )


def _kept(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM events").fetchone()
    return int(count)


def _epoch(hub: Hub, token: str) -> str:
    connection = HTTPConnection(*parse_address(hub.address))
    with closing(connection):
        connection.request("GET", "/v1/self", headers={"Authorization": f"Bearer {token}"})
        epoch: str = json.loads(connection.getresponse().read())["epoch"]
    return epoch


def _post_steadily(hub: Hub, events: int) -> None:
    """Post one event at a time over one connection.

    Raises: ProgramFailed: one isn't taken.
    """
    headers = {**hub.sender, "Content-Type": "application/json"}
    began_at = time.monotonic()
    with closing(HTTPConnection(*parse_address(hub.address))) as connection:
        for number in range(events):
            time.sleep(max(0.0, began_at + number / _EVENTS_PER_SECOND - time.monotonic()))
            body = _ENVELOPE.replace(_NUMBER, str(number))
            connection.request("POST", "/notifications", body, headers)
            answer = connection.getresponse()
            if (answer.read(), answer.status)[1] != 202:
                raise ProgramFailed(f"an event was answered {answer.status}")


def _pin(pid: int) -> None:
    """Leave a process, all its threads, one core of those that we have."""
    core = {min(os.sched_getaffinity(0))}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), core)


def _busy_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS
