"""What the system tells of a replica's process."""

import os
from pathlib import Path

from tests.support.replica import Replica

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(running: Replica) -> float:
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def resident_bytes(running: Replica) -> int:
    pages = Path(f"/proc/{running.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def highest_resident_bytes(running: Replica) -> int:
    """Give the most memory that the process ever had."""
    lines = Path(f"/proc/{running.process.pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) << 10


def descriptors(running: Replica) -> int:
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))
