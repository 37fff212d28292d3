"""Files with the records of regions: written when what they say changes, then told to a hook.

A zone's serial changes with its file and not by itself: a file that says the same stays.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hub.dns.hook import Hook
from hub.dns.state import GeoState
from proxy.serving.small_file import write_file
from proxy.telemetry.logs import EventLog

MODE = 0o644  # for the DNS server to read
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
MAX_FILE_BYTES = 64 << 20
_SERIAL = re.compile(rb"(?m)^\S+\s+[0-9]+\s+IN\s+SOA\s+\S+\s+\S+\s+([0-9]{1,10})\s")

Text = Callable[[int], str]
"""Gives a file's text with a serial."""
Texts = Callable[[GeoState], Mapping[str, Text]]
"""Gives each file's name and text in a state. Raises: NotExportable."""


class NotExportable(Exception):
    """The state has nothing to write for what was asked."""


@dataclass(slots=True)
class Folder:
    """Where the files are."""

    path: Path
    texts: Texts
    now: Callable[[], float] = field(default=time.time)

    def update(self, state: GeoState) -> list[Path]:
        """Write the files that say something else now, and give them. Blocks. Raises: OSError."""
        return list(self._changed(state))

    def all(self, state: GeoState) -> list[Path]:
        """Give all files that belong to a state."""
        return [self.path / name for name in self.texts(state)]

    def _changed(self, state: GeoState) -> Iterator[Path]:
        for name, text in self.texts(state).items():
            path = self.path / name
            old = _read(path)
            serial = serial_in(old)
            if text(serial).encode() != old:
                fresh = max(serial + 1, int(self.now()))
                write_file(path, text(fresh).encode(), MODE)
                yield path


def serial_in(zone: bytes) -> int:
    """Give the serial of a zone file; 0 where there is none."""
    found = _SERIAL.search(zone)
    return int(found[1]) if found else 0


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except FileNotFoundError:
        return b""


class Exporter:
    """Keeps a folder in step with the states that come, and the hook with the folder."""

    def __init__(self, folder: Folder, hook: Hook | None, log: EventLog) -> None:
        self._folder = folder
        self._hook = hook
        self._log = log
        self._wanted: GeoState | None = None
        self._untold: set[Path] = set()
        self._news = asyncio.Event()

    async def take(self, state: GeoState) -> None:
        """Note the newest state. The hook is told of all files once, whatever came before us."""
        if self._wanted is None:
            self._untold.update(await asyncio.to_thread(self._all, state))
        self._wanted = state
        self._news.set()

    def _all(self, state: GeoState) -> list[Path]:
        try:
            return self._folder.all(state)
        except NotExportable:  # said where it is written
            return []

    async def run(self) -> None:
        """Write and tell until cancelled; what fails is tried again, with growing pauses."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            await self._news.wait()
            self._news.clear()
            if await self._step():
                pause = FIRST_PAUSE_SECONDS
                continue
            self._news.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _step(self) -> bool:
        """Write and tell once; say whether all went well."""
        state = self._wanted
        if state is None:
            return True
        try:
            changed = await asyncio.to_thread(self._folder.update, state)
        except (NotExportable, OSError) as exc:
            self._log.error("export.not_written", error=str(exc))
            return False
        if changed:
            self._log.info("export.written", files=[path.name for path in changed])
        self._untold.update(changed)
        return await self._tell()

    async def _tell(self) -> bool:
        if self._hook is None or not self._untold:
            self._untold.clear()
            return True
        files: Sequence[Path] = sorted(self._untold)
        if not await self._hook.run(files):
            return False
        self._untold.difference_update(files)
        return True
