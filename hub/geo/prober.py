"""The standing probes: a task for each region, that looks again and again.

Rules:
- A round begins a little less than `every` after the one before it, and takes no longer: with
  *fall* 2, a region that died is down within three times `every`, the time included in which its
  silence is excused.
- A round without an answer counts as good while the region's replica reports, as nothing while the
  hub can't know whether it does; else as bad.
- What was down when the hub stopped is down when it starts, until rounds say otherwise.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from geo.catalogue import Catalogue, Region
from geo.situation import Hysteresis
from hub.clock import Clock
from hub.geo.forms import What
from hub.geo.health import Check, Health, Outcome, verdict
from hub.geo.heard import Word
from hub.geo.probe import Probe, ProbeFailed

EARLIEST, LATEST = 0.8, 0.95
"""When the next round begins, as a share of `every`: regions don't stay in step."""
LONGEST = 0.9
"""What a round may take."""
MAX_AT_ONCE = 64
Hear = Callable[[str], Awaitable[Word]]
"""What is heard of a region's replica."""
Look = Callable[[], Awaitable[None]]
OnStanding = Callable[[str, Health], None]


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often a region is looked at, and how many rounds in a row turn it."""

    every_seconds: float
    fall: int
    rise: int


class Prober:
    """Looks at all regions. `run` is the task; *on_standing* hears of a region that turned."""

    def __init__(
        self,
        probe: Probe,
        rhythm: Rhythm,
        hear: Hear,
        on_standing: OnStanding,
        clock: Clock,
    ) -> None:
        self._probe = probe
        self._rhythm = rhythm
        self._hear = hear
        self._on_standing = on_standing
        self._clock = clock
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._regions: dict[str, Region] = {}
        self._turning: dict[str, Hysteresis] = {}
        self._health: dict[str, Health] = {}
        self._changed = asyncio.Event()

    def become(self, catalogue: Catalogue, down: Iterable[str] = ()) -> None:
        """Look at these regions from now on. down: those that are new, and known to be down."""
        known_down = frozenset(down)
        self._regions = {each.name: each for each in catalogue.regions}
        for gone in self._health.keys() - self._regions.keys():
            del self._health[gone], self._turning[gone]
        for name in self._regions.keys() - self._health.keys():
            is_up = name not in known_down
            rhythm = self._rhythm
            self._turning[name] = Hysteresis(rhythm.fall, rhythm.rise, is_up=is_up)
            self._health[name] = Health(is_up)
        self._probe.keep(frozenset(a for each in catalogue.regions for a in each.addresses))
        self._changed.set()

    def health_of(self, name: str) -> Health:
        """Give how a region looks."""
        return self._health.get(name, Health())

    # --- the tasks --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look for ever."""
        tasks: dict[str, asyncio.Task[None]] = {}
        changed: asyncio.Task[bool] | None = None
        try:
            while True:
                self._changed.clear()
                await _end([tasks.pop(name) for name in tasks.keys() - self._regions.keys()])
                for name in self._regions.keys() - tasks.keys():
                    tasks[name] = asyncio.create_task(self._look_again_and_again(name))
                changed = asyncio.create_task(self._changed.wait())
                done, _ = await asyncio.wait(
                    {changed, *tasks.values()}, return_when=asyncio.FIRST_COMPLETED
                )
                for each in done:
                    each.result()  # one that ends at all ends by what nobody thought of
        finally:
            await _end([*tasks.values(), *([changed] if changed else [])])

    async def _look_again_and_again(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        every = self._rhythm.every_seconds
        await asyncio.sleep(every * random.uniform(0, LATEST - EARLIEST))  # noqa: S311  # no secret
        while True:
            due = loop.time() + every * random.uniform(EARLIEST, LATEST)  # noqa: S311
            await self.look(name)
            await asyncio.sleep(max(0.0, due - loop.time()))

    # --- one round --------------------------------------------------------------------------------

    async def look(self, name: str) -> None:
        """Look at a region once, and say so where it turned."""
        region = self._regions.get(name)
        if region is None:
            return
        checks = await self._checks(region)
        outcome = verdict(checks)
        word = await self._hear(name) if outcome is Outcome.SILENT else None
        if self._regions.get(name) != region:
            return  # the catalogue changed under it: it was another one that was looked at
        before = self._health[name]
        is_up = before.is_up
        if word is not Word.UNKNOWN:
            is_good = outcome is Outcome.PASSED or word is Word.REPORTS
            is_up = self._turning[name].note(is_good)
        is_excused = word is Word.REPORTS or (word is Word.UNKNOWN and is_up)
        health = Health(is_up, before.since, checks, is_excused)
        if is_up is not before.is_up:
            health = replace(health, since=self._clock.wall())
        self._health[name] = health
        if is_up is not before.is_up:
            self._on_standing(name, health)

    async def _checks(self, region: Region) -> tuple[Check, ...]:
        probe, url = self._probe, region.ready_url
        looks = [self._check(What.READY, url, partial(probe.ask_ready, url))] if url else []
        if probe.has_canary:
            looks += [
                self._check(What.CANARY, str(address), partial(probe.pull, address))
                for address in region.addresses
            ]
        return tuple(await asyncio.gather(*looks))

    async def _check(self, what: What, address: str, look: Look) -> Check:
        """Wait for one look, for no longer than a round takes."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome, error = Outcome.PASSED, ""
        try:
            async with self._slots, asyncio.timeout(self._rhythm.every_seconds * LONGEST):
                await look()
        except ProbeFailed as exc:
            outcome, error = exc.outcome, str(exc)
        except TimeoutError:
            outcome, error = Outcome.SILENT, "no answer in time"
        seconds = round(loop.time() - began, 6)
        return Check(what, address, outcome, error, self._clock.wall(), seconds)


async def _end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    ending = list(tasks)
    for each in ending:
        each.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
