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

    @classmethod
    def thorough(cls, folder: Path) -> "Lab":
        """Give the bounds behind published numbers."""
        return cls(folder, 5, 4.0, 100_000_000, 256 * 2**20, 1_000_000, (10**6, 10**8, 10**9))

    @classmethod
    def quick(cls, folder: Path) -> "Lab":
        """Give bounds for a look, below three minutes in all."""
        return cls(folder, 3, 1.0, 30_000_000, 16 * 2**20, 50_000, (10**6, 10**8))

    def room(self, name: str) -> Path:
        """Give a folder of its own to a row."""
        room = self.folder / name
        room.mkdir()
        return room
