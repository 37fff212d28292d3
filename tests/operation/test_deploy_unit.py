"""deploy/proxima.service: systemd takes it, it shuts much away, a replica needs none of that."""

import re
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from config.docs import ROOT
from config.settings import ListenSettings
from proxy.cli import replica as replica_verb
from proxy.cli.parser import parse_arguments
from tests.faults_disk.tracing import Call, calls_in
from tests.support import images
from tests.support.fixtures import require
from tests.support.hostile import HostileUpstream, hostile_upstream
from tests.support.processes import run
from tests.support.pushing import pull, push
from tests.support.registry_client import RegistryClient
from tests.support.replica import replica
from tests.support.waiting import wait_until

UNIT = ROOT / "deploy" / "proxima.service"
USERS = ROOT / "deploy" / "proxima.sysusers"
MOST_EXPOSED = 20  # tenths of systemd's own measure, which ends at 100
REPOSITORY = "team/app"


def _values(name: str) -> list[str]:
    """Give all values of a key of the unit, in order."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def _value(name: str) -> str:
    (value,) = _values(name)
    return value


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is here: systemd looks whether there is one."""
    require("systemd-analyze")
    installed = tmp_path / "proxima.service"
    program = tmp_path / "proxima"
    program.touch(0o755)
    installed.write_text(UNIT.read_text().replace("/usr/local/bin/proxima", str(program)))
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


def test_its_user_can_be_made():
    """The file of users beside it makes the user and the group that the unit names."""
    require("systemd-sysusers")
    root = run(("systemd-sysusers", "--dry-run", str(USERS))).check()
    assert re.search(rf"^u {_value('User')} ", USERS.read_text(), re.MULTILINE), root
    assert _value("Group") == _value("User")


def test_its_command_is_one():
    """What it starts is a command line that is understood, with the store that it may write."""
    program, *argv = _value("ExecStart").split()
    arguments = parse_arguments(argv)
    assert program.endswith("/proxima")
    assert arguments.verb is replica_verb.run
    assert arguments.config == Path("/etc/proxima/proxima.toml")
    assert getattr(arguments, "store.root") == f"/var/lib/{_value('StateDirectory')}"
    assert _value("ExecReload").split()[1:] == ["-HUP", "$MAINPID"]


def test_it_is_given_the_time_to_drain():
    """systemd kills no replica that still drains within the default limit."""
    assert float(_value("TimeoutStopSec")) > ListenSettings().drain_limit


# --- what a replica does, and what the unit lets it do --------------------------------------------


def _allowed_calls() -> set[str]:
    """Give the system calls that SystemCallFilter= leaves."""
    sets = _call_sets()
    allowed: set[str] = set()
    for line in _values("SystemCallFilter"):
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


@pytest.fixture(scope="module")
def trace(tmp_path_factory) -> list[Call]:
    """The system calls of a replica from its start to its end, with all kinds of work between."""
    require("strace")
    require("systemd-analyze")
    log = tmp_path_factory.mktemp("trace") / "calls"
    with hostile_upstream() as upstream:
        _live(upstream, log)
    return calls_in(log)


def _live(upstream: HostileUpstream, log: Path) -> None:
    """Trace a replica: cold and warm pulls, a push, settings read again, operators, a drain."""
    image = images.oci_image("pulled", layers=[images.random_layer(2 << 20)])
    upstream.contents.add(REPOSITORY, image, "v1")
    primary = {"url": upstream.url, "nameservers": ["127.0.0.1"]}
    strace = ("strace", "-D", "-f", "-q", "-s", "0", "-o", str(log))
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
        end = re.compile(rf"^{running.process.pid} +\+\+\+ exited with 0", re.MULTILINE)
        wait_until(lambda: end.search(log.read_text("utf-8", "replace")), 20, "all is told")


def test_no_call_is_filtered(trace: list[Call]):
    """Nothing that a replica asks of the kernel is outside SystemCallFilter=."""
    called = {call.name for call in trace}
    assert {"sendfile", "fsync", "prlimit64"} <= called, "the trace has what it should"
    assert called - _allowed_calls() == set()


def test_no_memory_is_written_and_executed(trace: list[Call]):
    """MemoryDenyWriteExecute= refuses nothing that the interpreter and its libraries do."""
    assert _value("MemoryDenyWriteExecute") == "yes"
    maps = [call.arguments for call in trace if call.name == "mmap"]
    assert any("PROT_EXEC" in each for each in maps), "libraries are mapped"
    assert [each for each in maps if "PROT_EXEC" in each and "PROT_WRITE" in each] == []
    changes = [call.arguments for call in trace if call.name in ("mprotect", "pkey_mprotect")]
    assert [each for each in changes if "PROT_EXEC" in each] == []


def test_only_allowed_families_of_sockets_are_opened(trace: list[Call]):
    """RestrictAddressFamilies= has every family that a replica opens a socket of."""
    opened = {
        call.arguments.split(",")[0] for call in trace if call.name in ("socket", "socketpair")
    }
    assert {"AF_INET", "AF_UNIX"} <= opened
    assert opened <= set(_value("RestrictAddressFamilies").split())
