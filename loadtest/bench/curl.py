"""curl: downloads to nowhere, one or many at once, with the time of their first byte."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtest.image import MANIFEST_ACCEPT
from loadtest.programs.program import ProgramFailed, tied

_LIMIT_SECONDS = 300.0
_PER_PROCESS = 250  # curl takes up to 300
_FORMAT = "%{http_code} %{time_starttransfer} %{time_total} %{size_download}\\n"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One download."""

    first_byte_seconds: float
    seconds: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Downloads:
    """Some downloads that ran at once, and the time from the first's start to the last's end."""

    transfers: tuple[Transfer, ...]
    wall_seconds: float


def download_in_turn(urls: Sequence[str]) -> Transfer:
    """Download *urls* one after the other over one connection; give the last one.

    Raises: ProgramFailed
    """
    arguments = [part for url in urls for part in ("-o", "/dev/null", url)]
    return _transfers(_finish(_start(arguments)), len(urls))[-1]


def download_at_once(urls: Sequence[str], folder: Path) -> Downloads:
    """Download *urls* at once, each over a connection of its own.

    Raises: ProgramFailed
    """
    started = time.monotonic()
    parts = [urls[start : start + _PER_PROCESS] for start in range(0, len(urls), _PER_PROCESS)]
    running = [_start_parallel(part, folder / f"curl{n}") for n, part in enumerate(parts)]
    transfers: list[Transfer] = []
    for process, part in zip(running, parts, strict=True):
        transfers += _transfers(_finish(process), len(part))
    return Downloads(tuple(transfers), time.monotonic() - started)


@contextmanager
def downloading(urls: Sequence[str], folder: Path, *, name: str, rate: str) -> Iterator[None]:
    """Download *urls* at once for the length of the block, each at *rate* (`1M`) at most.

    Raises: ProgramFailed: they were over before the block was.
    """
    process = _start_parallel(urls, folder / name, "--limit-rate", rate)
    try:
        yield
        if process.poll() is not None:
            raise ProgramFailed(f"{name}: the downloads were over too early")
    finally:
        process.kill()
        process.communicate()


def _start_parallel(urls: Sequence[str], config: Path, *options: str) -> subprocess.Popen[str]:
    config.write_text("".join(f'url = "{url}"\noutput = "/dev/null"\n' for url in urls))
    at_once = ["--parallel", "--parallel-immediate", "--parallel-max", str(_PER_PROCESS)]
    return _start([*at_once, *options, "--config", str(config)])


def _start(arguments: list[str]) -> subprocess.Popen[str]:
    # Certificates are the bench's own; what is measured is bytes, not trust.
    options = ["--insecure", "--no-progress-meter", "--http1.1", "--noproxy", "*"]
    return subprocess.Popen(
        tied(
            [
                "curl",
                *options,
                "--header",
                f"Accept: {MANIFEST_ACCEPT}",
                "--write-out",
                _FORMAT,
                *arguments,
            ]
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(process: subprocess.Popen[str]) -> str:
    try:
        said, complaint = process.communicate(timeout=_LIMIT_SECONDS)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode != 0:
        raise ProgramFailed(f"curl ended with {process.returncode}: {complaint.strip()[:500]}")
    return said


def _transfers(said: str, count: int) -> list[Transfer]:
    lines = [line.split() for line in said.splitlines()]
    refused = [line[0] for line in lines if line[0] != "200"]
    if refused or len(lines) != count:
        raise ProgramFailed(f"{len(refused)} of {count} downloads got status {refused[:3]}")
    return [Transfer(float(first), float(total), int(size)) for _, first, total, size in lines]
