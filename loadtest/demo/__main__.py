"""Runs the demo: `python -m loadtest.demo [--stay]`."""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from loadtest.demo.fleet import Fleet, running_fleet
from loadtest.demo.guide import (
    introduction,
    nearest_introduction,
    news_introduction,
    places,
    suggestions,
)
from loadtest.demo.nearest import Nearest, running_name
from loadtest.demo.news import News
from loadtest.demo.scene import Scene, running_scene
from loadtest.demo.steps import Steps
from loadtest.demo.table import Table
from loadtest.nomad import SharedName
from loadtest.programs import ProgramFailed
from loadtest.units import show_bytes, show_seconds

_NEEDED_BYTES = 3 * 10**9
_EPILOG = """\
environment:
  DEMO_PRIMARY     URL of an existing registry to use instead of starting one
  DEMO_USERNAME, DEMO_PASSWORD
                   a user there who may push and pull
  DEMO_REPOSITORY  where to push the demo's images, which stay there (default: proxima/demo)
  DEMO_TRUSTED_ORIGINS
                   where it has its tokens and blobs, if elsewhere: https://auth.example.com ...
"""


def main() -> int:
    """Run the demo; give the exit status: 0 if every promise was kept."""
    options = _parser().parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="proxima-demo-"))
    try:
        _check_room(folder)
        with ExitStack() as stack:
            return _run(folder, stack, stays=options.stay)
    except ProgramFailed as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.demo",
        description="Pull and push an image through a replica over a slow link; then push one that "
        "arrives in three regions before anybody pulls it; then let DNS lead clients to them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stay", action="store_true", help="keep everything running until Ctrl-C")
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _NEEDED_BYTES:
        raise ProgramFailed(
            f"{folder} has {show_bytes(free)} free, {show_bytes(_NEEDED_BYTES)} are needed;"
            " TMPDIR names another place"
        )


def _run(folder: Path, stack: ExitStack, *, stays: bool) -> int:
    """Show all parts, and keep everything running if that is wished; give the exit status."""
    started = time.monotonic()
    scene = stack.enter_context(running_scene(folder))
    tables = [_show_pulls(scene)]
    fleet = stack.enter_context(running_fleet(folder / "fleet", scene.primary))
    tables.append(_show_news(fleet))
    name = stack.enter_context(running_name(fleet))
    broken = [
        f"{row.step}: {row.promise.text}" for each in tables for row in each.broken if row.promise
    ]
    broken += _show_nearest(fleet, name)
    status = _judge(broken, time.monotonic() - started)
    if stays:
        _stay(scene, fleet, name)
    return status


def _show_pulls(scene: Scene) -> Table:
    """Show what a replica does for those who pull and push."""
    print(introduction(), end="\n\n")
    print(places(scene), end="\n\n", flush=True)
    steps, table = Steps(scene), Table()
    images = steps.prepare()
    table.open()
    for row in steps.run(*images):
        table.add(row)
    return table


def _show_news(fleet: Fleet) -> Table:
    """Show what is there before anybody pulls."""
    print(f"\n{news_introduction(fleet)}\n", flush=True)
    table = Table()
    News(fleet, table).run()
    return table


def _show_nearest(fleet: Fleet, name: SharedName) -> list[str]:
    """Show where clients go; give the promises that weren't kept."""
    print(f"\n{nearest_introduction(name)}\n", flush=True)
    nearest = Nearest(fleet, name)
    nearest.run()
    return nearest.broken


def _judge(broken: list[str], seconds: float) -> int:
    """Say whether all was as promised; give the exit status."""
    if not broken:
        print(f"\nAll promises kept, in {show_seconds(seconds)}.", flush=True)
        return 0
    print("\nNot as promised:", *broken, sep="\n  ", file=sys.stderr)
    return 1


def _stay(scene: Scene, fleet: Fleet, name: SharedName) -> None:
    """Keep everything running until Ctrl-C."""
    print(f"\n{suggestions(scene, fleet, name)}", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("\nEnding everything.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
