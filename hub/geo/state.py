"""What DNS servers decide by, told to those who wait for another revision of it."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from geo.catalogue import Catalogue
from geo.reading import document_of
from geo.situation import Situation, Standing
from hub.errors import Unavailable
from hub.geo.forms import Geo
from hub.wire.writing import plain

MAX_WAITING = 1_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What the settings say of the answers. domain: the shared name, without a port."""

    domain: str
    ttl_seconds: float
    spread: int


@dataclass(frozen=True, slots=True)
class Told:
    """One revision, as it goes out."""

    revision: str
    body: bytes


class GeoState:
    """The revision that is current, and those who wait for the next one.

    The revision is a digest of all that is said: it outlives a restart of the hub that changes
    nothing.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._told: Told | None = None
        self._next: asyncio.Event = asyncio.Event()
        self._number = 0
        self._is_draining = False

    def __len__(self) -> int:
        return self._number

    def become(self, catalogue: Catalogue, situation: Situation) -> bool:
        """Tell this from now on; say whether it is anything else than before."""
        told = _told(self._terms, catalogue, situation)
        if self._told is not None and told.revision == self._told.revision:
            return False
        self._told = told
        self._wake()
        return True

    def drain(self) -> None:
        """Let everybody go: they ask again where somebody listens."""
        self._is_draining = True
        self._wake()

    def _wake(self) -> None:
        woken, self._next = self._next, asyncio.Event()
        woken.set()

    async def wait(self, after: str | None, seconds: float, has_left: Callable[[], bool]) -> Told:
        """Give the current revision, once it is another than *after* or the time is over.

        Raises: Unavailable: too many wait, or there is no revision yet.
        """
        try:
            async with asyncio.timeout(seconds):
                while self._is_known(after) and not self._is_draining and not has_left():
                    await self._wait()
        except TimeoutError:
            pass
        if self._told is None:
            raise Unavailable
        return self._told

    def _is_known(self, after: str | None) -> bool:
        return self._told is not None and after == self._told.revision

    async def _wait(self) -> None:
        if self._number >= MAX_WAITING:
            raise Unavailable("too many wait already", retry_after_seconds=5)
        self._number += 1
        try:
            await self._next.wait()
        finally:
            self._number -= 1


def _told(terms: Terms, catalogue: Catalogue, situation: Situation) -> Told:
    standings = {
        each.name: situation.standings.get(each.name, Standing.UP) for each in catalogue.regions
    }
    linked = {name: tuple(map(str, each)) for name, each in sorted(situation.linked.items())}
    said = Geo(
        "",
        terms.domain,
        terms.ttl_seconds,
        terms.spread,
        document_of(catalogue),
        standings,
        linked,
    )
    revision = hashlib.sha256(_encoded(said)).hexdigest()[:32]
    return Told(revision, _encoded(replace(said, revision=revision)))


def _encoded(said: Geo) -> bytes:
    return json.dumps(plain(said), separators=(",", ":")).encode()
