"""Addresses to places by a file in the MaxMind DB format, which may change while it is in use.

The file is read whole into memory of our own, and looked at, before it takes the place of the one
before: a file that is cut short under a memory map kills the process, and one that is damaged opens
and fails at the first lookup. What can't be used leaves the one in use as it is.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address
from itertools import islice
from pathlib import Path

import maxminddb

from geo.catalogue import SUBNET_BITS, Address
from geo.place import Place, place_in

PIECE_BYTES = 1024 * 1024
SAMPLE = 1000
"""Records looked at before a file is used, from its start; and one in each of the 224 blocks of
IPv4 unicast."""
MAX_CACHED = 65_536
"""Places that are kept, each for one subnet: decoding a record takes 10 to 20 us (measured)."""

_BROKEN = (maxminddb.InvalidDatabaseError, ValueError, RecursionError, OverflowError)


class DatabaseUnusable(Exception):
    """A file that can't be used, and why."""


class Locations:
    """The places of one file. Blocks while it opens or reloads; lookups may go on meanwhile."""

    def __init__(self, path: Path | None) -> None:
        """Take no path for no database: then no address has a place."""
        self._path = path
        self._database: _Database | None = None
        self._seen: tuple[int, ...] | None = None
        self._problem: str | None = None

    def open(self) -> None:
        """Read the file. Raises: DatabaseUnusable."""
        problem = self.reload_if_changed()
        if problem is not None:
            raise DatabaseUnusable(problem)

    def reload_if_changed(self) -> str | None:
        """Read the file if it isn't the one that was read last.

        Gives: why the file can't be used, for as long as it stays as it is; None: it is in use.
        """
        if self._path is None:
            return None
        try:
            seen = _stamp(self._path.stat())
            if seen != self._seen:
                self._seen, self._problem = seen, None
                self._database = _read(self._path)
        except OSError as exc:
            self._seen, self._problem = None, f"{self._path}: {exc.strerror}"
        except DatabaseUnusable as exc:
            self._problem = f"{self._path}: {exc}"
        return self._problem

    @property
    def about(self) -> str:
        """Say what is in use: "GeoLite2-City of 2026-11-20"; empty: nothing."""
        return self._database.about if self._database else ""

    def place_of(self, address: Address) -> Place | None:
        """Give where an address is; None: nobody knows."""
        return self._database.place_of(address) if self._database else None


class _Database:
    """A file that was found to be sound, and the places that were asked for lately."""

    def __init__(self, reader: maxminddb.Reader) -> None:
        self._reader = reader
        metadata = reader.metadata()
        built = datetime.fromtimestamp(metadata.build_epoch, UTC).date()
        self.about = f"{metadata.database_type} of {built}"
        self._has_v6 = metadata.ip_version == 6
        self._cache: dict[int, Place | None] = {}

    def place_of(self, address: Address) -> Place | None:
        bits = SUBNET_BITS[address.version]
        # The version stands above the bits of the longest block.
        block = (int(address) >> (address.max_prefixlen - bits)) | (address.version << 56)
        try:
            return self._cache[block]
        except KeyError:
            return self._look(address, block, bits)

    def _look(self, address: Address, block: int, bits: int) -> Place | None:
        if address.version == 6 and not self._has_v6:
            return None
        try:
            record, prefix = self._reader.get_with_prefix_len(address)
        except _BROKEN:  # a bad record is no place, as it was when the samples were taken
            return None
        place = place_in(record)
        if prefix <= bits:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[block] = place
        return place


def _stamp(stat: os.stat_result) -> tuple[int, ...]:
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def _read(path: Path) -> _Database:
    """Give the database of a file. Raises: OSError, DatabaseUnusable."""
    copy = os.memfd_create("places", os.MFD_CLOEXEC)
    try:
        _copy(path, copy)
        reader = maxminddb.open_database(f"/proc/self/fd/{copy}")
        _check(reader)
        return _Database(reader)
    except _BROKEN as exc:
        raise DatabaseUnusable(f"not a sound MaxMind DB file ({type(exc).__name__})") from exc
    finally:
        os.close(copy)


def _copy(path: Path, copy: int) -> None:
    with path.open("rb") as source:
        before = _stamp(os.fstat(source.fileno()))
        while piece := source.read(PIECE_BYTES):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(copy, rest) :]
        if _stamp(os.fstat(source.fileno())) != before:
            raise DatabaseUnusable("it changed while it was read")


def _check(reader: maxminddb.Reader) -> None:
    """Look at samples. Raises: DatabaseUnusable: none tells of a place; or as a lookup does."""
    places = [place_in(record) for record in _sample(reader)]
    if not any(places):
        raise DatabaseUnusable(f"no places in it, but {reader.metadata().database_type[:80]}")


def _sample(reader: maxminddb.Reader) -> Iterator[object]:
    for block in range(224):
        yield reader.get(IPv4Address(block << 24 | 1))
    for _, record in islice(reader, SAMPLE):
        yield record
