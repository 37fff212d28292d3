"""Where rows are measured: a folder, and how much time and how many bytes they may take."""

from dataclasses import dataclass
from pathlib import Path

from loadtest.link import LinkSettings

LINK = LinkSettings(round_trip_seconds=0.040, rate_bytes_per_second=100e6)


@dataclass(frozen=True, slots=True)
class Lab:
    """The bounds of one run; peers take turns in each of *rounds*, medians count."""

    folder: Path
    rounds: int
    window_seconds: float
    cold_blob_bytes: int
    many_blob_bytes: int
    many_links: int
    image_bytes: tuple[int, ...]
    burst_pushes: int
    tag_moves: int
    uplink_pushes: int
    reconciled_tags: int

    @classmethod
    def thorough(cls, folder: Path) -> "Lab":
        """Give the bounds behind published numbers."""
        return cls(
            folder,
            rounds=5,
            window_seconds=4.0,
            cold_blob_bytes=100_000_000,
            many_blob_bytes=256 * 2**20,
            many_links=1_000_000,
            image_bytes=(10**6, 10**8, 10**9),
            burst_pushes=1_000,
            tag_moves=300,
            uplink_pushes=40,
            reconciled_tags=10_000,
        )

    @classmethod
    def quick(cls, folder: Path) -> "Lab":
        """Give bounds for a look, below seven minutes in all."""
        return cls(
            folder,
            rounds=3,
            window_seconds=1.0,
            cold_blob_bytes=30_000_000,
            many_blob_bytes=16 * 2**20,
            many_links=50_000,
            image_bytes=(10**6, 10**8),
            burst_pushes=200,
            tag_moves=100,
            uplink_pushes=20,
            reconciled_tags=2_000,
        )

    def room(self, name: str) -> Path:
        """Give a folder of its own to a row."""
        room = self.folder / name
        room.mkdir()
        return room
