"""`proxima dns check`: servers that answer well, badly, or not at all."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from geo.nearness import Nearness
from hub.dns.decision import ZoneFacts
from hub.dns.state import read_state
from hub.dns.viewpoint import nearness_of, nobody_knows, viewpoint_of
from tests.dns.stub_hub import REGIONS, StubHub, geo_document
from tests.support.command_line import Proxima
from tests.support.loop_thread import LoopThread
from tests.support.ports import LOOPBACK, claimed_port

NAME = "registry.example.com"
Answer = Callable[[dns.message.Message], dns.message.Message | bytes | None]


class Good:
    """Answers as it should, but for what a test makes otherwise."""

    def __init__(
        self,
        *,
        ttl_seconds: int = 5,
        flags: int = dns.flags.AA,
        has_scope: bool = True,
        client: str | None = None,
        code: int = dns.rcode.NOERROR,
        only: str = "",
    ) -> None:
        self.zone = ZoneFacts(NAME, ("ns1.example.net",)).zone(ttl_seconds, 1)
        self.nearness: Nearness = nearness_of(read_state(geo_document()), nobody_knows)
        self.flags, self.has_scope, self.client, self.code = flags, has_scope, client, code
        self.only = only

    def __call__(self, query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query)
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        reply.flags |= self.flags
        if self.code and self.only in {"", kind}:
            reply.set_rcode(dns.rcode.Rcode(self.code))
            return reply
        subnet = next(
            (each for each in query.options if isinstance(each, dns.edns.ECSOption)), None
        )
        text = self.client or (subnet.address if subnet else "192.0.2.1")
        for each in self.zone.answer(NAME, kind, self.nearness.rank(ip_address(text))):
            reply.answer.append(
                dns.rrset.from_text(f"{NAME}.", each.ttl_seconds, "IN", kind, each.content)
            )
        if subnet is not None and self.has_scope:
            scope = 24 if reply.answer else 0
            option = dns.edns.ECSOption(subnet.address, subnet.srclen, scope)
            reply.use_edns(0, 0, 1232, options=[option])
        return reply


@contextmanager
def dns_server(answer: Answer) -> Iterator[int]:
    """Run a DNS server over UDP; give its port."""

    class Protocol(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            said = answer(dns.message.from_wire(data))
            if said is not None:
                wire = said if isinstance(said, bytes) else said.to_wire()
                self.transport.sendto(wire, addr)

    async def start(port: int) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(Protocol, local_addr=(LOOPBACK, port))

    with claimed_port() as port, LoopThread("dns-server") as thread:
        thread.run(start(port))
        yield port


Check = Callable[[Answer], dict[str, Any]]


@pytest.fixture
def check(proxima: Proxima, hub: StubHub, token_file: Path) -> Check:
    """Check a server; give the document, its `status` the command's."""

    def run(answer: Answer) -> dict[str, Any]:
        with dns_server(answer) as port:
            outcome = proxima(
                *("dns", "check", NAME, "--server", f"{LOOPBACK}:{port}", "--json"),
                *("--hub", hub.url, "--token-file", token_file),
            )
        document = json.loads(outcome.output)
        assert isinstance(document, dict)
        return document | {"status": outcome.status}

    return run


def problems(document: dict[str, Any]) -> str:
    """Give everything that is called wrong."""
    own = [each for region in document["regions"] for each in region["problems"]]
    return "\n".join([*document["problems"], *own])


def test_a_good_server_is_good(check: Check) -> None:
    """Every region is asked for, with a subnet of its networks; nothing is wrong."""
    document = check(Good())
    assert (document["status"], document["is_good"], problems(document)) == (0, True, "")
    asked = {each["region"]: each["subnet"] for each in document["regions"]}
    assert list(asked) == list(REGIONS)
    assert asked["ap-singapore"] == "10.1.0.0/24"
    assert all(each["expected"]["region"] == each["region"] for each in document["regions"])


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Good(ttl_seconds=300), "TTL 300 s"),
        (Good(flags=0), "isn't authoritative"),
        (Good(client="10.1.0.1"), "doesn't honour the client's subnet"),
        (Good(client="10.1.0.1"), "203.0.113.5 (ap-singapore), not 203.0.113.17 (eu-frankfurt)"),
        (Good(has_scope=False), "no answer says for which subnet"),
        (Good(code=dns.rcode.REFUSED), "refused"),
        (Good(code=dns.rcode.SERVFAIL), "server failure"),
        (Good(code=dns.rcode.NXDOMAIN), "no such name"),
        (Good(code=dns.rcode.NOTIMP), "another error, NOTIMP"),
        (Good(code=dns.rcode.SERVFAIL, only="NS"), "NS: server failure"),
        (Good(code=dns.rcode.SERVFAIL, only="AAAA"), "AAAA: server failure"),
    ],
)
def test_what_is_wrong_is_told_apart(check: Check, answer: Answer, told: str) -> None:
    """Status 1, and words for each kind of fault."""
    document = check(answer)
    assert document["status"] == 1
    assert told in problems(document)


def test_a_region_that_is_down_is_expected_elsewhere(check: Check, hub: StubHub) -> None:
    """What should be comes from the standings: a server that hasn't heard of them is wrong."""
    hub.stand(ap_singapore="down")
    document = check(Good())
    assert document["status"] == 1
    singapore = document["regions"][0]
    assert singapore["expected"]["region"] == "eu-frankfurt"
    assert "ap-singapore" in singapore["problems"][0]


@pytest.mark.parametrize(
    ("answer", "told"),
    [(lambda _: None, "no answer"), (lambda _: b"\x00" * 11, "no DNS message")],
)
def test_a_server_that_isnt_one(
    check: Check, monkeypatch: pytest.MonkeyPatch, answer: Answer, told: str
) -> None:
    """Status 2: silence and garbage tell nothing of the regions."""
    monkeypatch.setattr("hub.dns.cli.check.TIMEOUT_SECONDS", 0.2)
    document = check(answer)
    assert (document["status"], document["is_reachable"]) == (2, False)
    assert told in problems(document)


def test_a_server_that_is_away(proxima: Proxima, hub: StubHub, token_file: Path) -> None:
    """Status 2, and that nothing listens there; the same in words."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((LOOPBACK, 0))
        port = taken.getsockname()[1]
    words = ("--hub", hub.url, "--token-file", token_file)
    outcome = proxima("dns", "check", NAME, "--server", f"{LOOPBACK}:{port}", *words)
    assert outcome.status == 2
    assert "can't be asked: unreachable" in outcome.output


def test_for_people_and_from_a_catalogue_alone(proxima: Proxima, tmp_path: Path) -> None:
    """A region a line, with what it got; a catalogue without a hub counts all regions as up."""
    path = tmp_path / "regions.toml"
    tables = "".join(
        f"[regions.{name}]\naddresses = {json.dumps(each['addresses'])}\n"
        f"networks = {json.dumps(each['networks'])}\n"
        for name, each in REGIONS.items()
    )
    path.write_text(f'default = "ap-singapore"\n{tables}')
    with dns_server(Good()) as port:
        words = ("--server", f"{LOOPBACK}:{port}", "--catalogue", path)
        outcome = proxima("dns", "check", f"{NAME}.", *words)
    assert (outcome.status, outcome.errors) == (0, "")
    assert "good: eu-frankfurt, asked for 10.2.0.0/24" in outcome.output
    assert "answered as it should be in 3 regions" in outcome.output


@pytest.mark.parametrize("server", ["example.com", "127.0.0.1:0", "127.0.0.1:99999", "[::1", ""])
def test_a_server_that_is_no_address(proxima: Proxima, server: str) -> None:
    """A name would be looked up by whom it is to check."""
    outcome = proxima("dns", "check", NAME, "--server", server, "--catalogue", "x")
    assert outcome.status == 2
    assert "expected an IP address" in outcome.errors


def test_a_viewpoint_lies_in_no_other_region() -> None:
    """Where another region's network begins a region's own, its end is asked for; a region
    without networks is asked for from its public address, and from nowhere without one.
    """
    regions = {
        "ap-singapore": {**REGIONS["ap-singapore"], "networks": ["10.0.0.0/8"]},
        "eu-frankfurt": {**REGIONS["eu-frankfurt"], "networks": ["10.0.0.0/16"]},
        "ap-tokyo": {
            **REGIONS["ap-tokyo"],
            "networks": [],
            "addresses": ["8.8.4.4", "2001:4860:4860::8844"],
        },
        "ap-seoul": {"addresses": ["192.168.0.1", "fd00::1"], "networks": []},
    }
    state = read_state(geo_document(catalogue={"default": "ap-tokyo", "regions": regions}))
    nearness = nearness_of(state, nobody_knows)
    views = [viewpoint_of(each, state, nearness) for each in state.catalogue.regions]
    subnets = [each and (each.subnet, each.is_sure) for each in views]
    assert subnets == [
        (ip_network("10.255.255.0/24"), True),
        (ip_network("10.0.0.0/24"), True),
        (ip_network("8.8.4.0/24"), False),
        None,
    ]
