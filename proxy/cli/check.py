"""`proxima check-config`: the settings, the files they name, and the primary."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from config import Settings, check_files
from proxy.app import probe
from proxy.cli.settings import load_settings

Runner = Callable[[Coroutine[Any, Any, int]], int]


def run(arguments: argparse.Namespace, runner: Runner) -> int:
    """Say what is wrong; 0 if nothing is."""
    settings = load_settings(arguments)
    if settings is None:
        return 2
    problems = check_files(settings)
    for problem in problems:
        print(f"proxima: {problem}", file=sys.stderr)
    if problems:
        return 2
    if arguments.offline:
        print("The settings are good. The primary was not asked.")
        return 0
    return runner(_ask(settings))


async def _ask(settings: Settings) -> int:
    async with asyncio.timeout(60):
        report = await probe(settings)
    for line in report.lines:
        print(line)
    for problem in report.problems:
        print(f"proxima: {problem}", file=sys.stderr)
    return 1 if report.problems else 0
