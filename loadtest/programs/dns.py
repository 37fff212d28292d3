"""The DNS of the shared name: PowerDNS, and beside it the process that decides for it."""

from dataclasses import dataclass
from pathlib import Path

from loadtest.address import Address, free_address, parse_address, show_address
from loadtest.programs.hub import Hub
from loadtest.programs.program import Program, python_module
from loadtest.programs.settings import as_toml

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "powerdns"
NAMESERVER = "ns1.demo.test"


@dataclass(frozen=True, slots=True)
class Zone:
    """A name that DNS answers; token_file: of those who may ask the hub where clients go."""

    domain: str
    token_file: Path
    database: Path | None = None


class DnsProgram(Program):
    """`proxima dns serve`."""

    def __init__(self, folder: Path, hub: Hub, zone: Zone, name: str = "dns") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.address = self.ops = ""
        settings: dict[str, dict[str, object]] = {
            "hub": {"url": hub.url, "token_file": str(zone.token_file)},
            "listen": {"backend": "127.0.0.1:0", "ops": "127.0.0.1:0", "drain_limit": "1s"},
            "zone": {"domain": zone.domain, "nameservers": [NAMESERVER]},
            "state": {"file": str(folder / "state.json")},
        }
        if zone.database is not None:
            settings["database"] = {"file": str(zone.database)}
        config = folder / "dns.toml"
        config.write_text(as_toml(settings))
        command = python_module("proxy", "dns", "serve", "--config", str(config))
        super().__init__(name, command, folder, self._ready)

    def _ready(self) -> None:
        said = self.wait_for_event("dns.ready")
        self.address, self.ops = said["backend"], said["ops"]


class PowerDns(Program):
    """PowerDNS on a free port of loopback, with the configuration of a folder and more."""

    def __init__(
        self, folder: Path, configuration: Path, *options: str, name: str = "powerdns"
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.listens: Address = free_address()
        self.address = show_address(self.listens)
        host, port = self.listens
        command = [
            "pdns_server",
            f"--config-dir={configuration}",
            f"--socket-dir={folder}",
            f"--local-address={host}",
            f"--local-port={port}",
            "--daemon=no",
            "--guardian=no",
            "--disable-syslog=yes",
            "--write-pid=no",
            "--setuid=",
            "--setgid=",
            *options,
        ]
        super().__init__(name, command, folder, lambda: self.wait_until_listening(self.listens))

    @classmethod
    def beside(cls, dns: DnsProgram, folder: Path) -> "PowerDns":
        """Give one as operators run it, that asks *dns*."""
        host, port = parse_address(dns.address)
        where = f"http:url=http://{host}:{port}/dns,post=1,post_json=1"
        return cls(folder, CONFIGURATION, f"--remote-connection-string={where}")
