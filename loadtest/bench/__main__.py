"""Runs the benchmarks: `python -m loadtest.bench [--only NAME] [--quick] [--write PAGE]`."""

import argparse
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, Row
from loadtest.bench.rows import ROWS
from loadtest.bench.table import markdown, print_head, print_line
from loadtest.programs import ProgramFailed
from loadtest.units import show_seconds

_OPEN_FILES = 16_384


def main() -> int:
    """Run the rows; give the exit status: 0 if every one could be measured."""
    options = _parser().parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    _allow_many_files()
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    folder = Path(tempfile.mkdtemp(prefix="proxima-bench-"))
    started = time.monotonic()
    try:
        lab = Lab.quick(folder) if options.quick else Lab.thorough(folder)
        measurements, failed = _measure(rows, lab)
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    missed = sum(not measurement.is_met for measurement in measurements)
    print(f"\n{missed} of {len(measurements)} not reached, {failed} rows could not be measured,")
    print(f"in {show_seconds(time.monotonic() - started)}.")
    if options.write is not None:
        command = "make bench ARGS=--quick" if options.quick else "make bench"
        options.write.write_text(markdown(measurements, command))
    return 1 if failed else 0


def _allow_many_files() -> None:
    """Let the programs have a thousand connections each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _OPEN_FILES)), hard))


def _measure(rows: Sequence[Row], lab: Lab) -> tuple[list[Measurement], int]:
    """Give all lines, and how many rows failed: one that can't be measured doesn't end the rest."""
    measurements: list[Measurement] = []
    failed = 0
    print_head()
    for row in rows:
        try:
            for measurement in row.measure(lab):
                print_line(measurement)
                measurements.append(measurement)
        except ProgramFailed as error:
            failed += 1
            print(f"  {row.name}: could not be measured: {error}", file=sys.stderr, flush=True)
    return measurements, failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench",
        description="Measure a replica side by side with its peers; the ratios are what counts.",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[row.name for row in ROWS],
        help="measure this row alone (may be given again)",
    )
    parser.add_argument("--quick", action="store_true", help="below seven minutes in all")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table as Markdown")
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
