"""A crowd: many downloads of one URL at once, by a small C program that is built when needed."""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from loadtest.address import parse_address
from loadtest.programs.program import ProgramFailed, output_of

_SOURCE = Path(__file__).with_suffix(".c")
_BUILD_SECONDS = 60
_LIMIT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Crowd:
    """Downloads that ran at once; first bytes are of the body, from the start of the connection."""

    first_bytes_seconds: tuple[float, ...]
    wall_seconds: float

    @property
    def first_byte_seconds(self) -> float:
        """The median."""
        return median(self.first_bytes_seconds)

    @property
    def slow_first_byte_seconds(self) -> float:
        """What ninety-nine of a hundred didn't exceed."""
        return sorted(self.first_bytes_seconds)[int((len(self.first_bytes_seconds) - 1) * 0.99)]


class CrowdClient:
    """The program, built in *folder*."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "crowd"

    def download(self, url: str, clients: int) -> Crowd:
        """Download *url* once by each of *clients*, all at once.

        Raises: ProgramFailed: not every one got it whole, or there is no compiler.
        """
        if not self._program.exists():
            output_of(["gcc", "-O2", "-o", str(self._program), str(_SOURCE)], _BUILD_SECONDS)
        parts = urlsplit(url)
        host, port = parse_address(parts.netloc)
        command = [str(self._program), host, str(port), parts.path, str(clients)]
        started = time.monotonic()
        said = output_of([*command, str(_LIMIT_SECONDS)], 2 * _LIMIT_SECONDS)
        wall_seconds = time.monotonic() - started
        answers = [tuple(map(int, line.split())) for line in said.splitlines()]
        failed = [answer for answer in answers if answer[0] != 200]
        if failed or len(answers) != clients:
            raise ProgramFailed(
                f"{len(failed)} of {clients} downloads failed, the first with {failed[:1]}"
            )
        return Crowd(tuple(first / 1e6 for _, first, _, _ in answers), wall_seconds)
