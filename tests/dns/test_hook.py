"""The command that is run after files changed."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import pytest

from hub.dns.hook import MAX_OUTPUT_BYTES, Hook
from proxy.telemetry.logs import EventLog
from tests.support.waiting import eventually


def hook(log: Path, *command: str, limit_seconds: float = 10.0) -> Hook:
    """Give a hook that logs into a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return Hook(command, limit_seconds, EventLog(descriptor))


def lines(made: Hook, log: Path) -> list[dict[str, str]]:
    """Give what it logged."""
    made.log.flush()
    return [json.loads(line) for line in log.read_text().splitlines()]


async def test_it_gets_the_files_and_its_output_is_logged(tmp_path: Path) -> None:
    """Files are arguments of their own, whatever their names; no shell reads them."""
    log = tmp_path / "log"
    made = hook(log, sys.executable, "-c", "import sys; print(sys.argv[1:])", "first")
    assert await made.run([Path("/a b"), Path("/$(c)")])
    (line,) = lines(made, log)
    assert line["event"] == "export.hook_done"
    assert line["output"] == "['first', '/a b', '/$(c)']"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("false",), {"event": "export.hook_failed", "status": 1}),
        (
            ("sh", "-c", "echo out of order >&2; exit 3"),
            {"event": "export.hook_failed", "status": 3, "output": "out of order"},
        ),
        (("sh", "-c", "kill -9 $$"), {"event": "export.hook_failed", "status": -9}),
        (("/nonexistent/hook",), {"event": "export.hook_not_run"}),
    ],
)
async def test_a_failure_is_said(
    tmp_path: Path, command: tuple[str, ...], expected: dict[str, object]
) -> None:
    """A status, a signal or a missing command is a failure, and the log has it."""
    log = tmp_path / "log"
    made = hook(log, *command)
    assert not await made.run([])
    (line,) = lines(made, log)
    assert line["level"] == "error"
    assert expected.items() <= line.items()


async def test_a_long_output_is_taken_and_cut(tmp_path: Path) -> None:
    """A hook that says much neither hangs nor fills memory or the log."""
    log = tmp_path / "log"
    made = hook(log, "sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x")
    assert await made.run([])
    (line,) = lines(made, log)
    assert len(line["output"]) <= MAX_OUTPUT_BYTES


async def test_one_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    """Neither the command nor its children are left."""
    log, pids = tmp_path / "log", tmp_path / "pids"
    made = hook(log, "sh", "-c", f"sleep 60 & echo $! $$ > {pids}; wait", limit_seconds=0.5)
    began = time.monotonic()
    assert not await made.run([])
    assert time.monotonic() - began < 5
    assert "not done" in lines(made, log)[0]["error"]
    numbers = [int(each) for each in pids.read_text().split()]
    assert len(numbers) == 2
    await eventually(lambda: not any(map(_runs, numbers)))


async def test_one_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    """Who stops the exporter stops its hook."""
    pids = tmp_path / "pids"
    made = hook(tmp_path / "log", "sh", "-c", f"echo $$ > {pids}; exec sleep 60")
    running = asyncio.create_task(made.run([]))
    await eventually(lambda: pids.exists() and pids.read_text().strip())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: not _runs(int(pids.read_text())))


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
