"""The units in deploy/: systemd takes them, they shut much away, what they run needs none of it."""

import argparse
import asyncio
import json
import re
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest

from config.dns import DnsListenSettings
from config.docs import ROOT
from config.hub import HubListenSettings
from config.settings import ListenSettings
from hub.cli import main as hub_main
from hub.cli import serve
from hub.dns.cli import main as dns_main
from hub.dns.cli import serve as dns_serve
from proxy.cli import replica as replica_verb
from proxy.cli.parser import parse_arguments
from tests.dns.powerdns import NAME
from tests.dns.serving import program
from tests.dns.site import ready_line
from tests.dns.stub_hub import stub_hub
from tests.faults_disk.tracing import Call, calls_in
from tests.hub.place import ADMIN, pushed
from tests.hub.process import hub_process
from tests.support import images
from tests.support.fixtures import require
from tests.support.hostile import HostileUpstream, hostile_upstream
from tests.support.processes import run, running
from tests.support.pushing import pull, push
from tests.support.registry_client import RegistryClient
from tests.support.replica import replica
from tests.support.waiting import wait_until

MOST_EXPOSED = 20  # tenths of systemd's own measure, which ends at 100
REPOSITORY = "team/app"


@dataclass(frozen=True, slots=True)
class Service:
    """One unit, and what it runs: *live* does that under a prefix, with all kinds of work."""

    name: str
    drain_seconds: float
    live: Callable[[Path, tuple[str, ...]], int]

    @property
    def text(self) -> str:
        return (ROOT / "deploy" / f"{self.name}.service").read_text()

    @property
    def users(self) -> Path:
        return ROOT / "deploy" / f"{self.name}.sysusers"

    def values(self, key: str) -> list[str]:
        """Give all values of a key, in order."""
        return re.findall(rf"^{key}=(.*)$", self.text, re.MULTILINE)

    def value(self, key: str) -> str:
        (value,) = self.values(key)
        return str(value)


@pytest.fixture
def unit(tmp_path: Path, service: Service) -> Path:
    """The unit with a program that is here: systemd looks whether there is one."""
    require("systemd-analyze")
    installed = tmp_path / f"{service.name}.service"
    program = tmp_path / "proxima"
    program.touch(0o755)
    installed.write_text(service.text.replace("/usr/local/bin/proxima", str(program)))
    return installed


def test_systemd_understands_it(unit: Path):
    """No key is unknown, misplaced or of a form that systemd can't read."""
    verified = run(("systemd-analyze", "verify", str(unit)))
    assert (verified.status, verified.text + verified.errors) == (0, "")


def test_a_misspelt_key_would_be_seen(unit: Path):
    """The check above fails where it should."""
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHouse="))
    verified = run(("systemd-analyze", "verify", str(unit)))
    assert "ProtectHouse" in verified.text + verified.errors


def test_it_exposes_little(unit: Path):
    """systemd's own measure of what a service could do to the machine stays low."""
    options = ("--offline=true", f"--threshold={MOST_EXPOSED}")
    run(("systemd-analyze", "security", *options, str(unit))).check()


def test_its_user_can_be_made(service: Service):
    """The file of users beside it makes the user and the group that the unit names."""
    require("systemd-sysusers")
    root = run(("systemd-sysusers", "--dry-run", str(service.users))).check()
    named = rf"^u {service.value('User')} "
    assert re.search(named, service.users.read_text(), re.MULTILINE), root
    assert service.value("Group") == service.value("User")


def test_the_replicas_command_is_one():
    """What it starts is a command line that is understood, with the store that it may write."""
    program, *argv = REPLICA.value("ExecStart").split()
    arguments = parse_arguments(argv)
    assert program.endswith("/proxima")
    assert arguments.verb is replica_verb.run
    assert arguments.config == Path("/etc/proxima/proxima.toml")
    assert getattr(arguments, "store.root") == f"/var/lib/{REPLICA.value('StateDirectory')}"


def test_it_is_told_to_reload(service: Service):
    """`systemctl reload` sends the signal at which settings are read again."""
    assert service.value("ExecReload").split()[1:] == ["-HUP", "$MAINPID"]


def test_it_is_given_the_time_to_drain(service: Service):
    """systemd kills nothing that still drains within the default limit."""
    assert float(service.value("TimeoutStopSec")) > service.drain_seconds


# --- what is done, and what the unit lets be done -------------------------------------------------


def _allowed_calls(service: Service) -> set[str]:
    """Give the system calls that SystemCallFilter= leaves."""
    sets = _call_sets()
    allowed: set[str] = set()
    for line in service.values("SystemCallFilter"):
        names = line.removeprefix("~").split()
        calls = {call for name in names for call in _expanded(name, sets)}
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


def _call_sets() -> dict[str, list[str]]:
    """Give systemd's sets of system calls by name, sets within them as such."""
    sets: dict[str, list[str]] = {}
    members: list[str] = []
    for line in run(("systemd-analyze", "syscall-filter")).check().text.splitlines():
        if line.startswith("@"):
            members = sets.setdefault(line.strip(), [])
        elif (name := line.strip()) and not name.startswith("#"):
            members.append(name)
    return sets


def _expanded(name: str, sets: dict[str, list[str]]) -> Iterable[str]:
    if not name.startswith("@"):
        return [name]
    return [call for member in sets[name] for call in _expanded(member, sets)]


def _live_as_replica(_: Path, strace: tuple[str, ...]) -> int:
    """Cold and warm pulls, a push, settings read again, operators, a drain; give the process."""
    with hostile_upstream() as upstream:
        return _serve(upstream, strace)


def _serve(upstream: HostileUpstream, strace: tuple[str, ...]) -> int:
    image = images.oci_image("pulled", layers=[images.random_layer(2 << 20)])
    upstream.contents.add(REPOSITORY, image, "v1")
    primary = {"url": upstream.url, "nameservers": ["127.0.0.1"]}
    with replica(primary, prefix=strace) as running:
        client = RegistryClient(running.url)
        for _ in range(3):
            assert pull(client, REPOSITORY, "v1").body == image.data
            for content in image.blobs:
                path = f"/v2/{REPOSITORY}/blobs/{content.digest}"
                assert client.get(path).body == content.data
        push(client, REPOSITORY, images.oci_image("pushed"), "v2")
        running.process.send(signal.SIGHUP)
        running.wait_event("settings.reloaded")
        assert running.get_ops("/metrics").status == 200
        explain = ("explain", f"{REPOSITORY}:v1", "--store", str(running.store))
        argv = (sys.executable, "-m", "proxy", *explain, "--primary", upstream.url)
        run(argv).check()
        running.process.send(signal.SIGTERM)
        assert running.process.wait() == 0
        return running.process.pid


def _live_as_hub(folder: Path, strace: tuple[str, ...]) -> int:
    """Notifications, operators, a sentinel that is looked up, settings read again, a drain."""
    primary = {"url": "http://localhost:9", "region": "eu-frankfurt"}
    with hub_process(folder, primary=primary, sentinel={"repository": "own"}) as running:
        running.start(prefix=strace)
        wait_until(lambda: running.events("sentinel.not_pushed"), 20, "the primary is looked for")
        running.post([pushed("v1"), pushed("v2")]).expect(202)
        client = RegistryClient(f"http://{running.api}")
        body = b'{"region": "ap-singapore"}'
        client.request("POST", "/v1/replicas", ADMIN, body).expect(201)
        client.request("GET", "/v1/logs", ADMIN).expect(200)
        running.process.send(signal.SIGHUP)
        wait_until(lambda: running.events("settings.reloaded"), 20, "reloaded")
        running.process.send(signal.SIGTERM)
        assert running.process.wait() == 0
        return running.process.pid


def _live_as_dns(folder: Path, strace: tuple[str, ...]) -> int:
    """A hub that is looked up and followed, calls of PowerDNS, its database looked at, a drain."""
    with stub_hub() as hub:
        made = program(folder, hub, {"PROXIMA_DNS_HUB__URL": f"http://localhost:{hub.port}"})
        words = tuple(each for each in made.argv if each not in ("--hub", hub.url))
        log = folder / "dns.jsonl"
        with running(replace(made, argv=(*strace, *words))) as process:
            ready = wait_until(lambda: ready_line(log), 30, "the process is ready")
            lookup = {"qname": f"{NAME}.", "qtype": "ANY", "remote": "127.1.0.9"}
            call = json.dumps({"method": "lookup", "parameters": lookup}).encode()
            client = RegistryClient(f"http://{ready['backend']}")
            assert client.request("POST", "/dns", {}, call).json()["result"]
            assert RegistryClient(f"http://{ready['ops']}").get("/metrics").status == 200
            process.send(signal.SIGHUP)
            process.send(signal.SIGTERM)
            assert process.wait() == 0
            return process.pid


REPLICA = Service("proxima", ListenSettings().drain_limit, _live_as_replica)
HUB = Service("proxima-hub", HubListenSettings().drain_limit, _live_as_hub)
DNS = Service("proxima-dns", DnsListenSettings().drain_limit, _live_as_dns)
WHOLE = {"proxima": "sendfile", "proxima-hub": "fdatasync", "proxima-dns": "fsync"}
"""A call that each makes once it has done its work."""


@pytest.fixture(scope="module", params=[REPLICA, HUB, DNS], ids=lambda each: each.name)
def service(request) -> Service:
    found: Service = request.param
    return found


@pytest.fixture(scope="module")
def trace(service: Service, tmp_path_factory) -> list[Call]:
    """The system calls of a process from its start to its end, with all kinds of work between."""
    require("strace")
    require("systemd-analyze")
    folder = tmp_path_factory.mktemp("trace")
    log = folder / "calls"
    pid = service.live(folder, ("strace", "-D", "-f", "-q", "-s", "0", "-o", str(log)))
    end = re.compile(rf"^{pid} +\+\+\+ exited with 0", re.MULTILINE)
    wait_until(lambda: end.search(log.read_text("utf-8", "replace")), 20, "all is told")
    return calls_in(log)


def test_no_call_is_filtered(service: Service, trace: list[Call]):
    """Nothing that is asked of the kernel is outside SystemCallFilter=."""
    called = {call.name for call in trace}
    assert {"prlimit64", WHOLE[service.name]} <= called, "it is whole"
    assert called - _allowed_calls(service) == set()


def test_no_memory_is_written_and_executed(service: Service, trace: list[Call]):
    """MemoryDenyWriteExecute= refuses nothing that the interpreter and its libraries do."""
    assert service.value("MemoryDenyWriteExecute") == "yes"
    maps = [call.arguments for call in trace if call.name == "mmap"]
    assert any("PROT_EXEC" in each for each in maps), "libraries are mapped"
    assert [each for each in maps if "PROT_EXEC" in each and "PROT_WRITE" in each] == []
    changes = [call.arguments for call in trace if call.name in ("mprotect", "pkey_mprotect")]
    assert [each for each in changes if "PROT_EXEC" in each] == []


def test_only_allowed_families_of_sockets_are_opened(service: Service, trace: list[Call]):
    """RestrictAddressFamilies= has every family that a socket is opened of."""
    opened = {
        call.arguments.split(",")[0] for call in trace if call.name in ("socket", "socketpair")
    }
    assert {"AF_INET", "AF_UNIX"} <= opened
    assert opened <= set(service.value("RestrictAddressFamilies").split())


@pytest.mark.parametrize(
    ("started", "verb", "main", "serving", "key", "value"),
    [
        (HUB, "hub", hub_main, serve, "database.url", "sqlite:///{folder}/hub.db"),
        (DNS, "dns", dns_main, dns_serve, "state.file", "{folder}/state.json"),
    ],
    ids=["hub", "dns"],
)
def test_the_command_is_one(
    monkeypatch: pytest.MonkeyPatch,
    started: Service,
    verb: str,
    main: Callable[..., int],
    serving: ModuleType,
    key: str,
    value: str,
):
    """What it starts is a command line that is understood, with what it may write."""
    program, told, *argv = started.value("ExecStart").split()
    understood: list[argparse.Namespace] = []
    monkeypatch.setattr(serving, "run", lambda arguments, _: understood.append(arguments) or 0)
    assert main(argv, asyncio.run) == 0
    (arguments,) = understood
    assert (program, told) == ("/usr/local/bin/proxima", verb)
    assert arguments.config == Path(f"/etc/proxima-{verb}/{verb}.toml")
    folder = f"/var/lib/{started.value('StateDirectory')}"
    assert getattr(arguments, key) == value.format(folder=folder)
