"""How late an event loop is, told from within its process.

As a program it runs a replica with its loop watched, or nothing at all: what an idle process
suffers is the machine's doing.

    python -m tests.support.lag_watch FILE                        an idle loop, until SIGTERM
    python -m tests.support.lag_watch FILE PYTHON -m proxy ...    a replica, from its start on

FILE gets a line for each look once the program ends; beside it, in FILE.stacks, is what all threads
were doing each time the loop was held up for long.
"""

import asyncio
import contextlib
import faulthandler
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import uvloop

from proxy.__main__ import main
from proxy.app import Replica
from proxy.cli import replica as verb

LOOK_EVERY_SECONDS = 0.01
HELD_UP_SECONDS = 0.08
FIRST = -10


@dataclass(frozen=True, slots=True)
class Look:
    """A timer: when it was due and when it ran, in seconds of the machine's monotonic clock, and
    for how long the process, all its threads, computed since the look before.
    """

    due: float
    ran: float
    cpu_seconds: float

    @property
    def late_seconds(self) -> float:
        return self.ran - self.due

    def held_up_seconds(self, idle: Sequence["Look"]) -> float:
        """Give for how long its own process may have held it up.

        Not for the time for which an *idle* process' looks were late too, and not for longer than
        the process computed: what is beyond that, another had the processor.
        """
        shared = sum(max(0.0, min(self.ran, o.ran) - max(self.due, o.due)) for o in idle)
        return min(self.late_seconds - shared, self.cpu_seconds)


def stacks_of(file: Path) -> Path:
    """Give where the stacks beside a file of looks are."""
    return file.with_name(f"{file.name}.stacks")


def looks_in(file: Path) -> list[Look]:
    """Give what a program that has ended saw of its loop."""
    return [Look(**json.loads(line)) for line in file.read_text().splitlines()]


async def watch(file: Path) -> None:
    """Look until cancelled."""
    looks: list[Look] = []
    with stacks_of(file).open("w") as stacks:
        try:
            while True:
                faulthandler.dump_traceback_later(HELD_UP_SECONDS, file=stacks)
                began, due = time.process_time(), time.monotonic() + LOOK_EVERY_SECONDS
                await asyncio.sleep(LOOK_EVERY_SECONDS)
                looks.append(Look(due, time.monotonic(), time.process_time() - began))
        finally:
            faulthandler.cancel_dump_traceback_later()
            _write(file, looks)


def _write(file: Path, looks: Sequence[Look]) -> None:
    file.write_text("".join(f"{json.dumps(asdict(look))}\n" for look in looks))


async def _idle(file: Path) -> None:
    watching = asyncio.create_task(watch(file))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, watching.cancel)
    await asyncio.wait((watching,))


class _Watched(Replica):
    """A replica whose loop is watched from before its start to its end."""

    file = Path()

    async def start(self) -> None:
        self._own(watch(self.file))
        await asyncio.sleep(0)
        await super().start()


def _run(file: Path, arguments: Sequence[str]) -> int:
    """Run the command `proxima` with watched replicas."""
    _Watched.file = file
    with mock.patch.object(verb, "Replica", _Watched), mock.patch.object(sys, "argv", arguments):
        return main()


if __name__ == "__main__":
    with contextlib.suppress(PermissionError):  # of what else runs here less counts then
        os.setpriority(os.PRIO_PROCESS, 0, FIRST)
    told, command = Path(sys.argv[1]), sys.argv[2:]
    if command:
        sys.exit(_run(told, command[command.index("proxy") :]))
    uvloop.run(_idle(told))
