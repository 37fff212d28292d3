"""`proxima dns serve`: in a thread of the test's own process, or as operators run it."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config import DnsSettings, load_dns
from hub.dns.app import DnsProcess
from proxy.serving.sockets import as_text
from proxy.telemetry.logs import EventLog
from tests.dns.stub_hub import TOKEN, StubHub
from tests.support.loop_thread import LoopThread
from tests.support.metrics import Metrics
from tests.support.ports import LOOPBACK
from tests.support.processes import Program
from tests.support.registry_client import RegistryClient, Reply

PROJECT = Path(__file__).parents[2]


def dns_settings(folder: Path, hub: StubHub, **given: object) -> DnsSettings:
    """Give settings; a double underscore in a name stands for the dot of its key."""
    (folder / "token").write_text(f"{TOKEN}\n")
    defaults: dict[str, object] = {
        "hub.url": hub.url,
        "hub.token_file": folder / "token",
        "listen.backend": f"{LOOPBACK}:0",
        "listen.ops": f"{LOOPBACK}:0",
        "zone.domain": "registry.example.com",
        "zone.nameservers": ["ns1.example.net", "ns2.example.net"],
        "state.file": folder / "state.json",
    }
    own = {name.replace("__", "."): value for name, value in given.items()}
    return load_dns(None, {}, defaults | own)


class Serving:
    """One that runs."""

    def __init__(self, process: DnsProcess) -> None:
        self._process = process
        self.backend = f"http://{as_text(process.backend_address)}"

    @property
    def url(self) -> str:
        """What PowerDNS is told."""
        return f"{self.backend}/dns"

    def call(self, body: bytes, **headers: str) -> Reply:
        """Call the backend as PowerDNS does."""
        return RegistryClient(self.backend).request("POST", "/dns", headers, body)

    def ready(self) -> Reply:
        return self._ops("/readyz")

    def metrics(self) -> Metrics:
        return Metrics.parse(self._ops("/metrics").body.decode())

    def _ops(self, path: str) -> Reply:
        url = f"http://{as_text(self._process.ops_address)}"
        return RegistryClient(url).request("GET", path, {}, b"")


@contextmanager
def serving(folder: Path, hub: StubHub, **given: object) -> Iterator[Serving]:
    """Run one in this process for the length of the block."""
    settings = dns_settings(folder, hub, **given)
    descriptor = os.open(folder / "dns.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with LoopThread("dns") as thread:
        process = DnsProcess(settings, EventLog(descriptor))
        thread.run(process.start())
        try:
            yield Serving(process)
        finally:
            thread.run(process.stop())
    os.close(descriptor)


def program(folder: Path, hub: StubHub, environment: Mapping[str, str], *words: str) -> Program:
    """Give the command as operators run it; it prints its log to dns.jsonl."""
    (folder / "token").write_text(f"{TOKEN}\n")
    argv: tuple[Any, ...] = (
        *(sys.executable, "-m", "proxy", "dns", "serve"),
        *("--hub", hub.url, "--token-file", folder / "token", "--state", folder / "state.json"),
        *("--domain", "registry.example.com", "--nameservers", "ns1.example.net,ns2.example.net"),
        *words,
    )
    variables = {
        "PROXIMA_DNS_LISTEN__OPS": f"{LOOPBACK}:0",
        "PROXIMA_DNS_LISTEN__BACKEND": f"{LOOPBACK}:0",
        **environment,
    }
    return Program(
        tuple(map(str, argv)), folder / "dns.err", folder / "dns.jsonl", variables, PROJECT
    )
