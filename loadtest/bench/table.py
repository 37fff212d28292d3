"""The table of the benchmarks: on the terminal as it grows, and as Markdown."""

import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from os import cpu_count
from pathlib import Path

from loadtest.bench.measurement import Measurement

_LINE = "  {what:<66} {value:>14}  {target:>16}  {verdict:<5} {details}"


def print_head() -> None:
    """Print the head of the table."""
    line = _LINE.format(
        what="row", value="measured", target="to reach", verdict="ok?", details="behind it"
    )
    print(line)
    print("  " + "-" * (len(line) + 40), flush=True)


def print_line(measurement: Measurement) -> None:
    """Print one line."""
    line = _LINE.format(
        what=measurement.what,
        value=measurement.target.show(measurement.value),
        target=str(measurement.target),
        verdict=_verdict(measurement),
        details=measurement.details,
    )
    print(line, flush=True)


def markdown(measurements: Iterable[Measurement], command: str) -> str:
    """Give all lines as a page, with date and machine."""
    lines = [
        "# Benchmarks",
        "",
        f"`{command}` on {datetime.now(UTC):%Y-%m-%d}: {_machine()}. Ratios to peers measured in",
        "the same run, in turns; medians. Everything shares the machine: clients, link, registry.",
        "",
        "| row | measured | to reach | ok? | behind it |",
        "|---|---:|---:|---|---|",
    ]
    lines += [
        f"| {m.what} | {m.target.show(m.value)} | {m.target} | {_verdict(m)} | {m.details} |"
        for m in measurements
    ]
    return "\n".join([*lines, ""])


def _verdict(measurement: Measurement) -> str:
    if not str(measurement.target):
        return ""
    return "yes" if measurement.is_met else "NO"


def _machine() -> str:
    registry = subprocess.run(
        ["docker-registry", "--version"], capture_output=True, text=True, check=False
    ).stdout.split()
    parts = [
        f"{cpu_count()} cores ({_processor()})",
        f"Linux {platform.release()}",
        f"Python {platform.python_version()}",
        f"aiohttp {version('aiohttp')}",
        f"uvloop {version('uvloop')}",
        f"docker-registry {registry[-1] if registry else '?'}",
    ]
    return ", ".join(parts)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
