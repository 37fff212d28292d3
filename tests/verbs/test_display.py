"""What verbs show: bars on a terminal, lines elsewhere, JSON for machines."""

import io
import json
import os
import pty
import subprocess
import sys

import pytest

from proxy.cli.display import Text, as_bar, as_line
from proxy.registry.progress import Deed, Done, Finding, Problem, Progress, Result
from tests.support.replica import PROJECT


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (Progress(0, 4096, "bytes", "contents"), "  0% 0 B of 4.0 KiB"),
        (Progress(1024, 4096, "bytes", "contents"), "] ######..................  25%"),
        (Progress(4096, 4096, "bytes", "contents"), "100% 4.0 KiB of 4.0 KiB"),
        (Progress(5, 4, "parts", "images"), "100% 5 parts of 4 parts"),
        (Progress(1500, 0, "links", "links"), "links: 1,500 links"),
    ],
)
def test_a_bar_tells_how_far(progress, shown):
    """How much is done of how much, and what it is; a number alone where the total isn't known."""
    bar = as_bar(progress.as_document())
    assert all(part in bar for part in shown.lstrip("] ").split("  ")), bar


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (Finding(Problem.STRAY, "a/b"), "stray  a/b (not repaired)"),
        (Finding(Problem.BAD_LINK, "x", "why", is_repaired=True), "bad_link  x: why (repaired)"),
        (Done(Deed.FETCHED, "a:1", 2048), "fetched  a:1  2.0 KiB"),
        (Done(Deed.FAILED, "a:1", detail="no"), "failed  a:1  no"),
        (
            Result(is_good=True, numbers={"contents": 2, "stray": 0, "bytes": 3 << 30}),
            "contents: 2, bytes: 3.0 GiB",
        ),
        (
            Result(is_good=True, numbers={"bytes_per_second": 1 << 20}),
            "bytes per second: 1.0 MiB/s",
        ),
        (Result(is_good=True, numbers={"removed": 0}), "nothing"),
    ],
)
def test_a_line_says_what_happened(event, shown):
    """Findings, deeds and results as one line each; what is zero isn't told."""
    assert as_line(event.as_document()) == shown


def test_no_bar_where_no_terminal_is():
    """A log file isn't filled with bars."""
    output, errors = io.StringIO(), io.StringIO()
    display = Text(output, errors)
    display.show(Progress(1, 2, "bytes", "contents").as_document())
    display.show(Done(Deed.HERE, "a:1").as_document())
    display.end()
    assert (output.getvalue(), errors.getvalue()) == ("here  a:1\n", "")


def test_a_terminal_shows_a_bar_and_is_left_clean(warm):
    """On a real terminal a bar is drawn and taken away, with the lines on standard output."""
    main, terminal = pty.openpty()
    argv = [sys.executable, "-m", "proxy", "verify", "--store", str(warm.store)]
    try:
        done = subprocess.run(
            argv, stdout=subprocess.PIPE, stderr=terminal, cwd=PROJECT, check=False, timeout=60
        )
    finally:
        os.close(terminal)
    shown = os.read(main, 65_536).decode()
    os.close(main)
    assert (done.returncode, "contents [" in shown) == (0, True)
    assert shown.endswith("\r\x1b[K")
    assert done.stdout.decode().startswith("contents: ")


def test_json_is_a_document_a_line(proxima, warm):
    """Machines get each event as a line of JSON, the result last."""
    events = [
        json.loads(line)
        for line in proxima("gc", "--store", warm.store, "--json").output.splitlines()
    ]
    assert events[-1]["event"] == "result"
    assert {each["event"] for each in events} <= {"progress", "done", "result"}
