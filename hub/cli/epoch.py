"""`proxima hub new-epoch`: the log's name, made anew while the hub doesn't run."""

import argparse
import sys

from hub.cli.serve import CANT_OPEN, Runner, why
from hub.cli.settings import load_settings
from hub.database import Database
from hub.log.works import new_epoch


def run(arguments: argparse.Namespace, runner: Runner) -> int:
    """Name it anew and print the name."""
    settings = load_settings(arguments)
    if settings is None:
        return 2
    return runner(_renew(settings.database.url))


async def _renew(url: str) -> int:
    database = Database(url)
    try:
        await database.open()
    except CANT_OPEN as exc:
        print(f"proxima: {why(exc)}", file=sys.stderr)
        return 1
    try:
        print(await database.write(new_epoch))
    except CANT_OPEN as exc:
        print(f"proxima: {why(exc)}", file=sys.stderr)
        return 1
    finally:
        await database.close()
    return 0
