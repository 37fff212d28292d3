"""A command that is run after files changed: within bounds, its output logged."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.telemetry.logs import EventLog

MAX_OUTPUT_BYTES = 4096
CHUNK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Hook:
    """A command, its arguments in place, to which the files that changed are added."""

    command: tuple[str, ...]
    limit_seconds: float
    log: EventLog

    async def run(self, files: Sequence[Path]) -> bool:
        """Run it once; say whether it ended well within its time."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command,
                *map(str, files),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as exc:
            self.log.error("export.hook_not_run", error=str(exc))
            return False
        return await self._watched(process)

    async def _watched(self, process: asyncio.subprocess.Process) -> bool:
        output = bytearray()
        is_late = False
        try:
            async with asyncio.timeout(self.limit_seconds):
                await _read(process, output)
                await process.wait()
        except TimeoutError:
            is_late = True
            await _kill(process)
        except asyncio.CancelledError:
            await _kill(process)
            raise
        said = output.decode("utf-8", "replace").strip()
        if is_late or process.returncode:
            why = f"not done in {self.limit_seconds:g} s" if is_late else "it failed"
            self.log.error("export.hook_failed", error=why, status=process.returncode, output=said)
            return False
        self.log.info("export.hook_done", output=said)
        return True


async def _read(process: asyncio.subprocess.Process, output: bytearray) -> None:
    """Take all that it says, and keep the beginning."""
    said = process.stdout
    while said is not None and (chunk := await said.read(CHUNK_BYTES)):
        output += chunk[: MAX_OUTPUT_BYTES - len(output)]


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End it, and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
