"""The process beside a DNS server: its calls, what it says of itself, its start and end."""

import json
import os
import shutil
import signal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from geo.location import Locations
from geo.powerdns import MAX_CALL_BYTES
from hub.dns.decision import Decision, ZoneFacts
from hub.dns.state import read_state
from proxy.telemetry.logs import EventLog
from tests.dns.serving import Serving, program, serving
from tests.dns.stub_hub import StubHub, geo_document
from tests.support.command_line import Proxima
from tests.support.processes import running, tail
from tests.support.waiting import wait_until

DATA = Path(__file__).parents[1] / "data" / "geo"
CITIES = DATA / "GeoIP2-City-Test.mmdb"
SWEDE = "89.160.20.112"
FRANKFURT, SINGAPORE = "203.0.113.17", "203.0.113.5"
MIB = 1 << 20


def lookup(client: str, name: str = "registry.example.com.") -> bytes:
    """Give the call that PowerDNS makes for a client of whom a resolver tells."""
    parameters = {
        "qname": name,
        "qtype": "ANY",
        "remote": "192.0.2.1",
        "real-remote": client,
        "local": "127.0.0.1",
        "zone-id": -1,
    }
    return json.dumps({"method": "lookup", "parameters": parameters}).encode()


def addresses(running_one: Serving, client: str) -> list[str]:
    """Give the IPv4 addresses that a client gets."""
    records = running_one.call(lookup(client)).expect(200).json()["result"]
    return [each["content"] for each in records if each["qtype"] == "A"]


def settled(running_one: Serving, **expected: object) -> dict[str, Any]:
    """Wait until it says of itself what is expected, and give all of it."""

    def found() -> dict[str, Any] | None:
        said: dict[str, Any] = running_one.ready().json()
        return said if expected.items() <= said.items() else None

    return wait_until(found, what=f"{expected}")  # type: ignore[return-value]


def test_without_a_state_it_is_not_ready_and_fails_calls(hub: StubHub, tmp_path: Path) -> None:
    """Nothing is said of regions that nobody knows: an error of HTTP, which PowerDNS makes
    SERVFAIL, and not an empty answer, which resolvers would believe. What PowerDNS asks at its
    own start is answered.
    """
    hub.stop()
    with serving(tmp_path, hub) as made:
        made.ready().expect(503)
        reply = made.call(lookup("10.1.0.0/24"))
        assert (reply.status, reply.json()["result"]) == (503, False)
        zones = made.call(b'{"method": "getAllDomains", "parameters": {}}').expect(200).json()
        assert [each["zone"] for each in zones["result"]] == ["registry.example.com."]
        assert made.metrics().value("proxima_dns_backend_calls_total", outcome="no_state") == 1
        assert made.metrics().value("proxima_dns_state_age_seconds") == float("inf")
        hub.start()
        settled(made, revision="r1", status="ready")
        assert addresses(made, "10.1.0.0/24") == [SINGAPORE]


def test_it_goes_on_without_the_hub(hub: StubHub, tmp_path: Path) -> None:
    """With the hub away it decides by the last state, also after a start; readiness and a metric
    say how old that is.
    """
    with serving(tmp_path, hub) as made:
        settled(made, revision="r1")
        hub.stand(eu_frankfurt="down")
        settled(made, revision="r2", hub="followed")
        assert addresses(made, "10.2.0.0/24") != [FRANKFURT]
        assert made.metrics().value("proxima_dns_hub_followed") == 1
    hub.stop()
    with serving(tmp_path, hub) as made:
        said = settled(made, revision="r2", status="ready")
        assert said["hub"] != "followed"
        assert addresses(made, "10.2.0.0/24") != [FRANKFURT]
        assert addresses(made, "10.1.0.0/24") == [SINGAPORE]
        assert 0 < made.metrics().value("proxima_dns_state_age_seconds") < 60
        assert made.metrics().value("proxima_dns_hub_followed") == 0


def test_a_bad_state_leaves_the_old_one_in_use(hub: StubHub, tmp_path: Path) -> None:
    """A catalogue that can't be used changes no answer, and /readyz says why it isn't."""
    with serving(tmp_path, hub) as made:
        settled(made, revision="r1")
        hub.say(catalogue={"default": "nowhere", "regions": {}})
        said = wait_until(lambda: _trouble(made))
        assert "nowhere" in said or "regions" in said
        assert addresses(made, "10.2.0.0/24") == [FRANKFURT]
        assert made.ready().expect(200).json()["revision"] == "r1"
        hub.say(**{**geo_document(), "revision": "r9"})
        settled(made, revision="r9", hub="followed")


def _trouble(made: Serving) -> str:
    said = made.ready().json()["hub"]
    return "" if said == "followed" else str(said)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"method": 1}', 400),
        (b'{"method": "lookup"}', 400),
        (b'{"method": "lookup", "parameters": []}', 400),
        (b'{"method": "lookup", "parameters": {"qname": 7, "qtype": "A"}}', 400),
        (b"\xff\xfe", 400),
        (b"[" * 5_000, 400),
        (b'{"method": "dropTables", "parameters": {}}', 200),
        (b'{"method": "setDomainMetadata", "parameters": {"name": "x"}}', 200),
        (b" " * (MAX_CALL_BYTES + 1), 413),
    ],
)
def test_calls_that_are_none(hub: StubHub, tmp_path: Path, body: bytes, status: int) -> None:
    """C28: each gets the protocol's own "no", and the next call is answered."""
    with serving(tmp_path, hub) as made:
        settled(made, revision="r1")
        reply = made.call(body)
        assert reply.status == status
        assert reply.json()["result"] is False
        assert addresses(made, "10.1.0.0/24") == [SINGAPORE]


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("10.2.0.0/24", FRANKFURT),
        ("junk", SINGAPORE),
        ("", SINGAPORE),
        ("10.2.0.0/99", SINGAPORE),
        ("10.2.0.0/-1", SINGAPORE),
        ("::ffff:10.2.0.1/128", FRANKFURT),
        ("10.2.0.0/24/24", SINGAPORE),
        ("10.2.0.0.0/24", SINGAPORE),
        ("0.0.0.0/0", SINGAPORE),
    ],
)
def test_what_names_no_client_changes_nothing(
    hub: StubHub, tmp_path: Path, client: str, expected: str
) -> None:
    """C28: junk for a client's subnet is none: who asks decides, here one of no region."""
    with serving(tmp_path, hub) as made:
        settled(made, revision="r1")
        assert addresses(made, client) == [expected]


def test_a_database_is_taken_up_and_a_damaged_one_isnt(hub: StubHub, tmp_path: Path) -> None:
    """Clients in no network are located by it; a new file counts soon, a damaged one is told and
    leaves the old one in use.
    """
    database = tmp_path / "places.mmdb"
    with serving(tmp_path, hub, database__file=database, database__reread="100ms") as made:
        said = settled(made, revision="r1")
        assert "places.mmdb" in said["database"]
        assert addresses(made, f"{SWEDE}/24") == [SINGAPORE]
        _replace(database, CITIES.read_bytes())
        settled(made, database="current")
        assert addresses(made, f"{SWEDE}/24") == [FRANKFURT]
        _replace(database, CITIES.read_bytes()[:2000])
        wait_until(lambda: made.ready().json()["database"] != "current")
        assert made.metrics().value("proxima_dns_database_current") == 0
        assert addresses(made, f"{SWEDE}/24") == [FRANKFURT]


def _replace(path: Path, data: bytes) -> None:
    path.with_suffix(".new").write_bytes(data)
    path.with_suffix(".new").replace(path)


async def test_memory_is_bounded_under_forged_subnets(tmp_path: Path) -> None:
    """C29: 20,000 subnets leave little behind: what is remembered of places has a bound."""
    locations = Locations(CITIES)
    locations.open()
    facts = ZoneFacts("registry.example.com", ("ns1.example.net",))
    decision = Decision(facts, locations, EventLog(os.open(os.devnull, os.O_WRONLY)))
    await decision.take(read_state(geo_document()))
    blocks = 5_000
    _call_all(decision, range(blocks))
    before = _resident_bytes()
    for turn in range(1, 4):
        _call_all(decision, range(turn * blocks, (turn + 1) * blocks))
    assert _resident_bytes() - before < 16 * MIB


def _call_all(decision: Decision, blocks: range) -> None:
    for block in blocks:
        client = IPv4Address(0x0B000000 + (block << 8))
        answer = decision.answer(lookup(f"{client}/24"))
        assert isinstance(answer, dict)
        assert answer["result"]


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_the_command_serves_rereads_and_ends(hub: StubHub, tmp_path: Path) -> None:
    """SIGHUP looks at the database at once, SIGTERM ends it with status 0; the state stays,
    readable by its owner alone.
    """
    database = tmp_path / "places.mmdb"
    shutil.copy(CITIES, database)
    variables = {
        "PROXIMA_DNS_DATABASE__FILE": str(database),
        "PROXIMA_DNS_DATABASE__REREAD": "1h",
    }
    with running(program(tmp_path, hub, variables)) as process:
        wait_until(lambda: "geo.hub_followed" in _events(tmp_path), 30)
        assert "dns.ready" in _events(tmp_path)
        database.write_bytes(b"no database")
        process.send(signal.SIGHUP)
        wait_until(lambda: "geo.database_unusable" in _events(tmp_path))
        assert process.stop(signal.SIGTERM) == 0, tail(tmp_path / "dns.err")
    assert "dns.stopped" in _events(tmp_path)
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def _events(folder: Path) -> list[str]:
    path = folder / "dns.jsonl"
    text = path.read_text().rpartition("\n")[0] if path.exists() else ""
    return [json.loads(line)["event"] for line in text.splitlines()]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), ("hub.url", "hub.token_file", "zone.domain", "zone.nameservers", "state.file")),
        (("--hub", "http://hub.example:8443"), ("hub.url: expected https",)),
        (("--domain", "registry"), ("zone.domain",)),
        (("--nameservers", ""), ("zone.nameservers",)),
    ],
)
def test_settings_that_are_wrong_are_all_told(
    proxima: Proxima, words: tuple[str, ...], told: tuple[str, ...]
) -> None:
    """Status 2, and a line for each problem with its key."""
    outcome = proxima("dns", "serve", *words)
    assert outcome.status == 2
    for each in told:
        assert each in outcome.errors


def test_the_backend_listens_on_loopback_alone(
    proxima: Proxima, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks for no credentials, so nobody else may reach it."""
    monkeypatch.setenv("PROXIMA_DNS_LISTEN__BACKEND", "0.0.0.0:8053")
    assert "listen.backend" in proxima("dns", "serve").errors


def test_a_port_in_use_is_told(hub: StubHub, tmp_path: Path, proxima: Proxima) -> None:
    """Status 1, and which address it is."""
    with serving(tmp_path, hub) as made, pytest.MonkeyPatch.context() as patched:
        address = made.backend.removeprefix("http://")
        patched.setenv("PROXIMA_DNS_LISTEN__BACKEND", address)
        patched.setenv("PROXIMA_DNS_LISTEN__OPS", "127.0.0.1:0")
        (tmp_path / "other").mkdir()
        outcome = proxima(
            *("dns", "serve", "--hub", hub.url, "--token-file", tmp_path / "token"),
            *("--state", tmp_path / "other" / "s", "--domain", "registry.example.com"),
            *("--nameservers", "ns.example.com"),
        )
    assert outcome.status == 1
    assert address.rpartition(":")[2] in outcome.errors
