"""The catalogue's file: read at the start, and again when it changes.

A file that is wrong at the start stops the hub; one that is wrong later changes nothing, and `note`
says why, with every problem and its line.
"""

import asyncio
from pathlib import Path

from geo.catalogue import Catalogue
from geo.problems import CatalogueInvalid
from geo.reading import read_catalogue
from proxy.telemetry.logs import EventLog

MAX_BYTES = 16 << 20
Stamp = tuple[int, int, int]


class CatalogueFile:
    """A catalogue and where it comes from. `open` it first."""

    def __init__(self, path: Path, log: EventLog) -> None:
        self._path = path
        self._log = log
        self._stamp: Stamp | None = None
        self.note = ""
        """Why the file as it is now isn't in use; empty: it is."""

    async def open(self) -> None:
        """Read it. Raises: ValueError: with all that is wrong in it. OSError."""
        stamp = await asyncio.to_thread(_stamp_of, self._path)
        try:
            self.catalogue = await asyncio.to_thread(read_file, self._path)
        except CatalogueInvalid as exc:
            raise ValueError(f"the catalogue {self._path} can't be used") from exc
        self._stamp = stamp

    async def follow(self) -> bool:
        """Read it again if it has changed; say whether another catalogue is in use now."""
        try:
            stamp = await asyncio.to_thread(_stamp_of, self._path)
        except OSError as exc:
            self._stamp = None
            self._refuse(f"{self._path} can't be read: {exc.strerror}")
            return False
        return stamp != self._stamp and await self._take(stamp)

    async def reload(self) -> bool:
        """Read it again; say whether another catalogue is in use now."""
        self._stamp = None
        return await self.follow()

    async def _take(self, stamp: Stamp) -> bool:
        try:
            catalogue = await asyncio.to_thread(read_file, self._path)
        except CatalogueInvalid as exc:
            self._refuse(_told(self._path, exc))
        except (OSError, ValueError) as exc:
            self._refuse(f"{self._path} can't be read: {exc}")
        else:
            self._stamp, self.note = stamp, ""
            has_changed = catalogue != self.catalogue
            self.catalogue = catalogue
            self._log.info(
                "catalogue.read", regions=len(catalogue.regions), has_changed=has_changed
            )
            return has_changed
        self._stamp = stamp
        return False

    def _refuse(self, why: str) -> None:
        if why != self.note:
            self._log.error("catalogue.refused", error=why)
        self.note = why


def _stamp_of(path: Path) -> Stamp:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_file(path: Path) -> Catalogue:
    """Give the catalogue of a file. Raises: CatalogueInvalid, OSError; ValueError: no text."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError("it is larger than any catalogue")
    return read_catalogue(data.decode("utf-8"))


def _told(path: Path, invalid: CatalogueInvalid) -> str:
    return "\n".join(f"{path}: {each}" for each in invalid.problems)
