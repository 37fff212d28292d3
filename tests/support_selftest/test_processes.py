"""Programs are started, awaited and ended as the other tests rely on."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.ports import LOOPBACK, answers, claimed_port
from tests.support.processes import Program, ProgramFailed, Service, run, running
from tests.support.waiting import NeverHappened, eventually, wait_until

SLEEP = ("sleep", "60")


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_program_ends_with_its_block_and_all_its_children(tmp_path):
    script = "sleep 60 & echo $! >child; wait"
    program = Program(("sh", "-c", script), tmp_path / "log", folder=tmp_path)
    with running(program) as process:
        child = int(wait_until(lambda: (tmp_path / "child").exists() and child_of(tmp_path)))
        assert process.is_running
        assert is_alive(child)
    assert not process.is_running
    wait_until(lambda: not is_alive(child))


def child_of(folder: Path) -> str:
    return (folder / "child").read_text().strip()


def test_a_program_that_ignores_sigterm_is_reported_and_killed(tmp_path):
    program = Program(
        ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"), tmp_path / "l"
    )
    with running(Program(SLEEP, tmp_path / "log")) as bystander:
        process = running(program)
        inside = process.__enter__()
        wait_until(lambda: (tmp_path / "l").read_text() == "up\n")
        with pytest.raises(ProgramFailed, match="still runs"):
            inside.stop(timeout_seconds=0.2)
        assert not inside.is_running
        assert bystander.is_running


def test_programs_die_with_a_test_process_that_is_killed(tmp_path):
    script = textwrap.dedent(
        f"""
        import os, pathlib, signal
        from tests.support.processes import Process, Program
        process = Process(Program(("sleep", "60"), pathlib.Path({str(tmp_path / "log")!r})))
        print(process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until(lambda: not is_alive(int(done.stdout)))


def test_a_program_that_ends_at_once_is_shown_with_its_log(tmp_path):
    with claimed_port() as port:
        service = Service(Program(("sh", "-c", "echo no luck; exit 3"), tmp_path / "log"), port)
        with pytest.raises(ProgramFailed, match="no luck"):
            service.start()


def test_a_run_gives_output_errors_and_status():
    done = run(["sh", "-c", "cat; echo oops >&2; exit 4"], data=b"hello")
    assert (done.status, done.text, done.errors) == (4, "hello", "oops\n")
    with pytest.raises(ProgramFailed, match="oops"):
        done.check()


def test_a_run_without_end_is_cut_off():
    with pytest.raises(ProgramFailed, match="no end"):
        run(SLEEP, timeout_seconds=0.2)


def test_a_claimed_port_is_free_and_given_once():
    with claimed_port() as one, claimed_port() as another:
        assert one != another
        assert not answers(LOOPBACK, one)


def test_a_claim_ends_with_its_block():
    with claimed_port() as port:
        claim = f"@proxima-test-port-{port}"
        assert claim in Path("/proc/net/unix").read_text()
    assert claim not in Path("/proc/net/unix").read_text()


def test_waiting_is_bounded_and_says_for_what():
    with pytest.raises(NeverHappened, match="pigs fly"):
        wait_until(lambda: False, 0.05, "pigs fly")


async def test_waiting_in_a_loop_is_bounded_too():
    assert await eventually(os.getpid) == os.getpid()
    with pytest.raises(NeverHappened):
        await eventually(lambda: None, 0.05)
