"""PowerDNS while what it asks is away, late or out of its mind: SERVFAIL, and then as before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from geo.location import Locations
from geo.powerdns import respond
from hub.dns.decision import ZoneFacts
from hub.dns.state import read_state
from hub.dns.viewpoint import nearness_of
from tests.dns.powerdns import NAME, REMOTE, PowerDns, powerdns, program_of
from tests.dns.stub_hub import geo_document
from tests.support.fixtures import require
from tests.support.loop_thread import LoopThread
from tests.support.ports import LOOPBACK, claimed_port
from tests.support.processes import running
from tests.support.waiting import wait_until

GOOD = ["203.0.113.5"]


@dataclass
class Backend:
    """A backend whose answers a test spoils: `body` and `status` instead of the right one."""

    port: int
    thread: LoopThread
    body: bytes | None = None
    status: int = 200
    spoilt: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/dns"

    def start(self) -> None:
        self.thread.run(self._start())

    def stop(self) -> None:
        self.thread.run(self._stop())

    async def _start(self) -> None:
        state = read_state(geo_document())
        zone = ZoneFacts(NAME, ("ns1.example.net",)).zone(5, 1)
        rank = nearness_of(state, Locations(None).place_of).rank

        async def call(request: web.Request) -> web.Response:
            right = respond(await request.read(), zone, rank)
            if self.body is None:
                return web.json_response(right)
            self.spoilt += 1
            return web.Response(status=self.status, body=self.body)

        application = web.Application()
        application.add_routes([web.post("/dns", call)])
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self.port, reuse_address=True).start()

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


@contextmanager
def backend() -> Iterator[Backend]:
    with claimed_port() as port, LoopThread("backend") as thread:
        made = Backend(port, thread)
        made.start()
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Backend, PowerDns]]:
    for each in ("pdns_server", "dig", REMOTE):
        require(each)
    folder = tmp_path_factory.mktemp("faults")
    with backend() as made, powerdns(folder, made.url, zone_cache_refresh_interval=1) as dns:
        yield made, dns


@pytest.fixture
def pair(whole: tuple[Backend, PowerDns]) -> Iterator[tuple[Backend, PowerDns]]:
    yield whole
    made, dns = whole
    made.body, made.status = None, 200
    wait_until(lambda: dns.of("10.1.0.0/24") == GOOD, what="PowerDNS answers again")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>out of order</html>", 200),
        (b"", 200),
        (b"{", 200),
        (b"[1, 2]", 200),
        (b'{"result": false, "log": ["no state"]}', 503),
        (b'{"result": false}', 400),
        (b'{"result": false}', 500),
        (b"\x00" * 100_000, 200),
    ],
)
def test_garbage_is_a_failure_and_is_outlived(
    pair: tuple[Backend, PowerDns], body: bytes, status: int
) -> None:
    """A resolver is told that this server fails, so that it asks the next; other names stay
    refused; and the first good answer counts.
    """
    made, dns = pair
    assert dns.of("10.1.0.0/24") == GOOD
    made.body, made.status = body, status
    before = made.spoilt
    assert dns.dig("A", "+subnet=10.1.0.0/24").status == "SERVFAIL"
    assert made.spoilt > before
    assert dns.dig("A", name="example.org").status == "REFUSED"
    made.body, made.status = None, 200
    wait_until(lambda: dns.of("10.1.0.0/24") == GOOD, what="PowerDNS answers again")


def test_a_backend_that_is_away_is_a_failure(pair: tuple[Backend, PowerDns]) -> None:
    """Nothing is invented while it restarts, also if the list of zones is looked at meanwhile."""
    made, dns = pair
    made.stop()
    assert dns.dig("A", "+subnet=10.1.0.0/24").status == "SERVFAIL"
    failures = dns.log.read_text().count("updating zone cache")
    wait_until(lambda: dns.log.read_text().count("updating zone cache") > failures)
    assert dns.dig("A", "+subnet=10.1.0.0/24").status == "SERVFAIL"
    assert dns.dig("A", name="example.org").status == "REFUSED"
    made.start()
    wait_until(lambda: dns.of("10.1.0.0/24") == GOOD, what="PowerDNS answers again")


def test_a_start_without_the_backend_fails_at_once(tmp_path: Path) -> None:
    """PowerDNS ends, and its service manager starts it again: it would refuse the own zone."""
    for each in ("pdns_server", REMOTE):
        require(each)
    with claimed_port() as port:
        program = program_of(tmp_path, port, f"http://{LOOPBACK}:{port}/dns")
        with running(program) as process:
            wait_until(lambda: not process.is_running)
            assert process.wait() != 0
    assert "filling the zone cache" in program.log.read_text()
