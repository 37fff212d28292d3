"""The control socket's verbs: one line for each event, one run of each at a time."""

import asyncio
import http.client
import json
import threading
import time

import pytest

from proxy.cli.explain import UnixConnection
from proxy.oci.errors import StoreUnavailable
from proxy.registry.orders import Order
from proxy.registry.progress import Progress, Result
from proxy.web import control
from proxy.web.control import ControlSocket, verb_routes
from tests.support.loop_thread import LoopThread
from tests.support.waiting import wait_until

TICK = Progress(1, 2, "bytes", "contents")


class Bench:
    """Verbs that a test opens the gate of."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.ended = threading.Event()
        self.orders: list[Order] = []
        self.close = lambda: None

    async def slow(self, order: Order):
        self.orders.append(order)
        try:
            yield TICK
            while not self.gate.is_set():
                await asyncio.sleep(0.01)
            yield Result(is_good=True, numbers={"n": 1})
        finally:
            self.ended.set()

    async def failing(self, order: Order):
        yield TICK
        raise StoreUnavailable from OSError(5, "Input/output error")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Verbs behind a control socket."""
    monkeypatch.setattr(control, "HEARTBEAT_SECONDS", 0.05)
    bench = Bench()
    routes = verb_routes({"slow": bench.slow, "failing": bench.failing})

    async def explain(_: str) -> dict[str, object]:
        return {}

    with LoopThread("control") as thread:
        socket = ControlSocket(tmp_path / "control.sock", explain, routes)
        thread.run(socket.open())
        bench.close = lambda: thread.run(socket.close())
        yield bench
        bench.close()


@pytest.fixture
def ask(bench, tmp_path):
    """Post to the control socket; the connections are closed at the end."""
    opened = []

    def post(target: str) -> http.client.HTTPResponse:
        connection = UnixConnection(tmp_path / "control.sock")
        opened.append(connection)
        connection.request("POST", target)
        return connection.getresponse()

    yield post
    for connection in opened:
        connection.close()


def lines(answer: http.client.HTTPResponse) -> list[dict[str, object]]:
    return [json.loads(line) for line in answer.read().splitlines() if line]


def test_events_come_as_they_happen(bench, ask):
    """A line is there before the verb has ended; empty ones show that it goes on."""
    answer = ask("/verbs/slow?references=a&references=b&is_repair=1&grace_seconds=7.5")
    assert json.loads(answer.readline())["event"] == "progress"
    assert answer.readline() == b"\n"
    bench.gate.set()
    assert lines(answer) == [{"event": "result", "good": True, "n": 1}]
    assert bench.orders == [Order(("a", "b"), is_repair=True, grace_seconds=7.5)]


def test_an_error_is_the_last_line(ask):
    """What ends a verb is told with its cause, since who asks is the operator."""
    found = lines(ask("/verbs/failing"))
    assert [each["event"] for each in found] == ["progress", "error"]
    assert "Input/output error" in str(found[-1]["message"])


def test_a_client_that_leaves_ends_its_verb(bench, ask, tmp_path):
    """Nothing goes on that nobody waits for; the verb can be asked for again."""
    connection = UnixConnection(tmp_path / "control.sock")
    connection.request("POST", "/verbs/slow")
    answer = connection.getresponse()
    answer.readline()
    answer.close()
    connection.close()
    assert bench.ended.wait(10)
    bench.gate.set()
    wait_until(lambda: ask("/verbs/slow").status == 200, what="it can be asked for again")


def test_a_verb_runs_once_at_a_time(bench, ask):
    """A second one of the same kind is refused while the first one runs."""
    first = ask("/verbs/slow")
    first.readline()
    second = ask("/verbs/slow")
    assert (second.status, json.loads(second.read())["error"]) == (409, "slow is running already")
    bench.gate.set()
    assert lines(first)[-1]["event"] == "result"


def test_the_end_of_the_replica_ends_verbs(bench, ask):
    """A replica that ends doesn't wait for a verb that is running."""
    ask("/verbs/slow").readline()
    assert not bench.ended.is_set()
    began_at = time.monotonic()
    bench.close()
    assert bench.ended.is_set()
    assert time.monotonic() - began_at < 5


@pytest.mark.parametrize(
    "query", ["nonsense=1", "grace_seconds=x", "grace_seconds=-1", "grace_seconds=inf"]
)
def test_orders_that_cannot_be_read_are_refused(ask, query):
    """An argument that no verb has, or a number that is none, is 400."""
    assert ask(f"/verbs/slow?{query}").status == 400


@pytest.mark.parametrize(
    "order",
    [
        Order(),
        Order(("a", "b:c"), ("linux/amd64",), is_repair=True, is_dry_run=True, grace_seconds=0.1),
    ],
)
def test_an_order_survives_the_socket(order):
    """What is asked for is what arrives."""
    assert Order.of_pairs(order.as_pairs()) == order
