"""PowerDNS as deploy/powerdns/pdns.conf makes it, its addresses and backend being the test's."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import LOOPBACK, claimed_port
from tests.support.processes import Program, Service, run

PROJECT = Path(__file__).parents[2]
SETTINGS = PROJECT / "deploy" / "powerdns"
REMOTE = "/usr/lib/x86_64-linux-gnu/pdns/libremotebackend.so"
LISTENS_ON = ("127.0.0.1", "::1")
"""Clients ask from any address of 127.0.0.0/8."""
NAME = "registry.example.com"


@dataclass(frozen=True, slots=True)
class Dig:
    """What dig printed: the status, the content of the answer section, sizes and the subnet."""

    text: str

    @property
    def status(self) -> str:
        return self._after("status: ", ",")

    @property
    def answers(self) -> list[str]:
        """The content of each record of the answer, in order."""
        section = self.text.partition(";; ANSWER SECTION:\n")[2].partition("\n\n")[0]
        return [line.split(None, 4)[4] for line in section.splitlines()]

    @property
    def ttls(self) -> set[int]:
        section = self.text.partition(";; ANSWER SECTION:\n")[2].partition("\n\n")[0]
        return {int(line.split()[1]) for line in section.splitlines()}

    @property
    def flags(self) -> set[str]:
        return set(self._after(";; flags: ", ";").split())

    @property
    def subnet(self) -> str:
        """The client's subnet as the server sends it back: address/source/scope."""
        return self._after("; CLIENT-SUBNET: ", "\n")

    @property
    def size_bytes(self) -> int:
        return int(self._after("MSG SIZE  rcvd: ", "\n") or 0)

    def _after(self, start: str, end: str) -> str:
        return self.text.partition(start)[2].partition(end)[0]


@dataclass
class PowerDns:
    """A server that runs."""

    service: Service
    port: int
    log: Path

    def dig(self, *words: str, name: str = NAME, at: str = LOOPBACK) -> Dig:
        """Ask; options as dig has them."""
        argv = ["dig", f"@{at}", "-p", str(self.port), "+tries=1", "+time=5", name, *words]
        return Dig(run(argv).text)

    def of(self, subnet: str, kind: str = "A") -> list[str]:
        """Give what a client gets of whom a resolver tells."""
        return self.dig(kind, f"+subnet={subnet}").answers

    @property
    def memory_bytes(self) -> int:
        """Give what it holds: the program itself, which started through others."""
        status = Path(f"/proc/{self.service.process.pid}/status").read_text()
        return 1024 * int(status.partition("VmRSS:")[2].split()[0])


def program_of(folder: Path, port: int, backend: str, **settings: object) -> Program:
    """Give the command; an underscore in a setting's name is a hyphen."""
    given = {
        "config_dir": SETTINGS,
        "socket_dir": folder,
        "local_address": ",".join(LISTENS_ON),
        "local_port": port,
        "remote_connection_string": f"http:url={backend},post=1,post_json=1,timeout=1000",
        **settings,
    }
    words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    plain = ("--daemon=no", "--guardian=no", "--write-pid=no")
    return Program(("pdns_server", *plain, *words), folder / "pdns.log")


@contextmanager
def powerdns(folder: Path, backend: str, **settings: object) -> Iterator[PowerDns]:
    """Run it in front of a backend."""
    with claimed_port() as port:
        program = program_of(folder, port, backend, **settings)
        service = Service(program, port)
        try:
            service.start()
            yield PowerDns(service, port, program.log)
        finally:
            service.stop()
