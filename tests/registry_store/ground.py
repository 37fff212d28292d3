"""What the tests of the store stand on: telemetry that can be read, a clock that is set by hand, a
primary in memory, and what this process has open."""

import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.samples import Sample

from proxy.net.session import LinkBroken
from proxy.net.weather import LinkWeather
from proxy.oci.descriptor import OCTET_STREAM, Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import BlobUnknown, ManifestUnknown, RegistryError
from proxy.oci.manifest import Manifest, media_type_of
from proxy.oci.reference import Repository
from proxy.oci.request import BlobPull, ManifestPull, Pull
from proxy.oci.span import ByteSpan, RangeRequest
from proxy.registry.climb import LaneBudget
from proxy.registry.fetcher import Fetcher
from proxy.registry.fill import CacheFill, FillLimits
from proxy.registry.integrity import Integrity
from proxy.registry.lanes import LaneRules
from proxy.registry.pace import Pace
from proxy.registry.primary import Fetched
from proxy.registry.puller import Bytes, Content, File, Resolution, Stream
from proxy.registry.store import Store
from proxy.registry.tree import Tree
from proxy.registry.uncached import Uncached
from proxy.telemetry import EventLog, Metrics, Telemetry
from proxy.telemetry.labels import Origin

TAIL_BYTES = 1024
UNPACED = Pace(0, time.monotonic)
A, B = Repository("team/a"), Repository("team/b")


class Heard:
    """Telemetry whose events and numbers a test can read."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("events")
        self.telemetry = Telemetry(EventLog(self._descriptor), Metrics())

    def events(self, name: str) -> list[dict[str, Any]]:
        """Give the log lines of one event."""
        self.telemetry.log.flush()
        size = os.fstat(self._descriptor).st_size
        lines = os.pread(self._descriptor, size, 0).decode().splitlines()
        return [line for text in lines if (line := json.loads(text))["event"] == name]

    def count(self, name: str, **labels: str) -> float:
        """Give a counter's value."""
        return sum(
            sample.value
            for family in self.telemetry.metrics.registry.collect()
            for sample in family.samples
            if sample.name == name and _has(sample, labels)
        )

    def close(self) -> None:
        self.telemetry.log.flush()
        os.close(self._descriptor)


def _has(sample: Sample, labels: dict[str, str]) -> bool:
    return labels.items() <= sample.labels.items()


@dataclass(slots=True)
class ManualClock:
    """Both clocks, moved by the test alone."""

    at: float = 1_000.0
    wall_offset: float = 1_700_000_000.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at + self.wall_offset

    def pass_(self, seconds: float) -> None:
        self.at += seconds


def open_files(below: Path) -> list[str]:
    """Give what this process has open below a folder, removed files included."""
    targets = []
    for name in names_in(Path("/proc/self/fd")):
        with suppress(OSError):
            targets.append(file_of(int(name)))
    return [each for each in targets if each.startswith(f"{below}/") and not each.endswith("/lock")]


def file_of(descriptor: int) -> str:
    """Give the path of the file that a descriptor of this process is open on."""
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def names_in(folder: Path) -> list[str]:
    """Give the names in a folder."""
    return sorted(entry.name for entry in folder.iterdir())


def spooled(tree: Tree) -> list[str]:
    """Give the names in the spool."""
    return names_in(tree.layout.spool)


async def read_all(content: Content) -> bytes:
    """Give a content's bytes as a client would get them, and let go of it.

    Raises: RegistryError: it can't be completed.
    """
    try:
        if isinstance(content, Bytes):
            return content.data[content.span.start : content.span.stop]
        if isinstance(content, Stream):
            return b"".join([chunk async for chunk in content.chunks])
        return await _read_file(content)
    finally:
        await content.aclose()


async def _read_file(content: File) -> bytes:
    position, parts = content.span.start, []
    while position < content.span.stop:
        limit = await content.growth.visible_beyond(position, is_part=content.is_part)
        limit = min(limit, content.span.stop)
        part = os.pread(content.growth.descriptor_number, limit - position, position)
        if not part:
            raise EOFError("the file is shorter than it was said to be")
        parts.append(part)
        position += len(part)
    return b"".join(parts)


# --- a primary in memory --------------------------------------------------------------------------

Chunks = Callable[[bytes], AsyncIterator[bytes]]


async def at_once(data: bytes) -> AsyncIterator[bytes]:
    """Send everything in two chunks."""
    half = len(data) // 2
    for chunk in (data[:half], data[half:]):
        if chunk:
            yield chunk


@dataclass(slots=True)
class MemoryPrimary:
    """Has content by repository. *send* says how a blob's bytes travel; *asked* what was asked."""

    blobs: dict[tuple[Repository, Digest], bytes] = field(default_factory=dict)
    send: Chunks = at_once
    refuses: RegistryError | None = None
    asked: list[tuple[str, Pull]] = field(default_factory=list)
    breaks: int = 0
    open_streams: int = 0
    sent_bytes: int = 0
    gives_up_after: int | None = None
    """How many bytes of blobs are sent before every transfer breaks, and every further one."""
    weather: LinkWeather = field(default_factory=lambda: LinkWeather(time.monotonic))

    @property
    def lane_rules(self) -> LaneRules:
        return LaneRules(self.weather, LaneBudget(64), 8, UNPACED, self.note_break)

    @property
    def link(self) -> "MemoryPrimary":
        return self

    def note_break(self) -> None:
        self.breaks += 1

    def add(self, data: bytes, *repositories: Repository) -> Digest:
        """Put a blob (or a manifest) into repositories."""
        digest = Digest.of(data)
        for repository in repositories or (A,):
            self.blobs[repository, digest] = data
        return digest

    def count(self, verb: str) -> int:
        return sum(1 for each, _ in self.asked if each == verb)

    def _find(self, verb: str, pull: Pull) -> bytes:
        self.asked.append((verb, pull))
        if self.refuses is not None:
            raise self.refuses
        digest = pull.digest if isinstance(pull, BlobPull) else pull.reference
        data = self.blobs.get((pull.repository, digest))  # type: ignore[arg-type]
        if data is None:
            raise BlobUnknown if isinstance(pull, BlobPull) else ManifestUnknown
        return data

    async def resolve(self, pull: Pull) -> Resolution:
        data = self._find("HEAD", pull)
        assert isinstance(pull, BlobPull)
        return Resolution(Descriptor(OCTET_STREAM, pull.digest, len(data)), Origin.PRIMARY)

    async def manifest(self, pull: ManifestPull) -> Fetched:
        data = self._find("GET", pull)
        descriptor = Descriptor(media_type_of(data), Digest.of(data), len(data))
        return Fetched(Manifest(descriptor, data), is_storable=True)

    async def open_blob(self, pull: BlobPull, part: RangeRequest | None) -> Stream:
        data = self._find("GET", pull)
        span = ByteSpan(0, len(data)) if part is None else part.on(len(data))
        self.open_streams += 1
        is_closed = False

        def close() -> None:
            nonlocal is_closed
            if not is_closed:
                is_closed = True
                self.open_streams -= 1

        resolution = Resolution(Descriptor(OCTET_STREAM, pull.digest, len(data)), Origin.PRIMARY)
        return Stream(resolution, span, self._sent(data[span.start : span.stop]), close)

    async def _sent(self, data: bytes) -> AsyncGenerator[bytes]:
        async for chunk in self.send(data):
            if self.gives_up_after is not None and self.sent_bytes >= self.gives_up_after:
                raise LinkBroken
            self.sent_bytes += len(chunk)
            yield chunk


def broken_after(size: int, times: int = 1) -> Chunks:
    """Break off after *size* bytes, so many times; send on after that."""
    left = times

    async def send(data: bytes) -> AsyncIterator[bytes]:
        nonlocal left
        if left:
            left -= 1
            yield data[:size]
            raise LinkBroken
        async for chunk in at_once(data):
            yield chunk

    return send


@dataclass(slots=True)
class Ground:
    """An open store with a fill over it."""

    tree: Tree
    store: Store
    fill: CacheFill
    primary: MemoryPrimary
    heard: Heard


@asynccontextmanager
async def opened_ground(
    root: Path, primary: MemoryPrimary, heard: Heard, *, executor: Executor | None = None
) -> AsyncIterator[Ground]:
    """Open a store at *root* with a fill from *primary*; close both at the end.

    executor: what does the store's work in place of its threads.
    """
    tree = Tree(root, heard.telemetry)
    if executor is not None:
        tree.executor = executor  # type: ignore[assignment]
    await tree.open()
    integrity = Integrity(tree, TAIL_BYTES)
    store = Store(tree, integrity, 1 << 20, may_serve_unverified_parts=True)
    fetcher = Fetcher(primary, has_own_identity=False)  # type: ignore[arg-type]
    metrics = heard.telemetry.metrics
    uncached = Uncached(fetcher, metrics, tail_bytes=TAIL_BYTES, max_at_once=4)
    limits = FillLimits(
        TAIL_BYTES,
        64,
        16,
        may_serve_unverified_parts=True,
        max_lanes=8,
        max_all_lanes=64,
        pace=UNPACED,
    )
    fill = CacheFill(store, fetcher, uncached, limits, heard.telemetry)
    try:
        yield Ground(tree, store, fill, primary, heard)
    finally:
        await fill.drain(0.0)
        await integrity.close()
        await tree.close()
