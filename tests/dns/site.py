"""A DNS server, the process that decides for it, and the hub that it follows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.dns.powerdns import PowerDns, powerdns
from tests.dns.serving import program
from tests.dns.stub_hub import StubHub, geo_document, stub_hub
from tests.support.metrics import Metrics
from tests.support.processes import Process, running, tail
from tests.support.registry_client import RegistryClient
from tests.support.waiting import wait_until

SINGAPORE = ["203.0.113.5"]
SINGAPORE_6 = ["2001:db8:9::1"]
FRANKFURT = ["203.0.113.17"]
FRANKFURT_6 = ["2001:db8:17::1"]
TOKYO = ["203.0.113.25", "203.0.113.26"]


@dataclass
class Site:
    """A DNS server, the process that decides for it, and the hub."""

    hub: StubHub
    process: Process
    dns: PowerDns
    ops: str

    def settle(self) -> None:
        """Wait until the hub's state is the one in use."""
        revision = self.hub.document["revision"]
        wait_until(lambda: self._ready()["revision"] == revision, what=f"{revision} in use")

    def _ready(self) -> dict[str, Any]:
        answer = RegistryClient(self.ops).request("GET", "/readyz", {}, b"").json()
        assert isinstance(answer, dict)
        return answer

    def metrics(self) -> Metrics:
        page = RegistryClient(self.ops).request("GET", "/metrics", {}, b"")
        return Metrics.parse(page.body.decode())

    @property
    def memory_bytes(self) -> dict[str, int]:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        own = 1024 * int(status.partition("VmRSS:")[2].split()[0])
        return {"powerdns": self.dns.memory_bytes, "proxima": own}

    def begin(self) -> None:
        """Let every region be up again."""
        revision = f"r{int(self.hub.document['revision'][1:]) + 1}"
        self.hub.say(**{**geo_document(), "revision": revision})
        self.settle()


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """Run one of each."""
    with stub_hub() as hub, running(program(folder, hub, {})) as process:
        ready = wait_until(lambda: _ready_line(folder / "dns.jsonl"), 30, "the process is ready")
        with powerdns(folder, f"http://{ready['backend']}/dns") as dns:
            yield Site(hub, process, dns, f"http://{ready['ops']}")
        assert process.is_running, tail(folder / "dns.err")


def _ready_line(log: Path) -> dict[str, Any] | None:
    if not log.exists():
        return None
    lines = [json.loads(line) for line in log.read_text().rpartition("\n")[0].splitlines()]
    return next((line for line in lines if line["event"] == "dns.ready"), None)
