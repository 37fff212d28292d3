"""Turns of peers within one run: A B C, A B C, ... so that the machine's moods hit all alike."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from loadtest.bench.wrk import Pace


def take_turns(peers: Mapping[str, Callable[[], Pace]], rounds: int) -> dict[str, list[Pace]]:
    """Let each of *peers* run once in each of *rounds*, after one turn that doesn't count."""
    for run in peers.values():
        run()
    paces: dict[str, list[Pace]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, run in peers.items():
            paces[name].append(run())
    return paces


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Give the median of the rounds' ratios: each compares turns that were close in time."""
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))
