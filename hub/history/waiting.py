"""Waiting until an artifact is complete: a request sleeps until a replica reports on its digest."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from sqlalchemy import Connection

from hub.database import Database
from hub.errors import HubError, Invalid, Unavailable
from hub.history import works
from hub.history.arrival import arrival, chosen, resolve
from hub.history.forms import Arrived, RegionState, WaitQuery
from hub.history.works import Change
from hub.instances.instances import Instances
from hub.wire.writing import plain
from proxy.oci.errors import RegistryError
from proxy.oci.reference import parse_reference

LOOK_SECONDS = 5.0
"""How often it is looked at without a report: a replica may be made or deleted meanwhile."""

Key = tuple[str, str]


class NotComplete(HubError):
    """The time is over, and something is missing in a region."""

    status = 504
    code = "NOT_COMPLETE"

    def __init__(self, query: WaitQuery, digest: str, states: Sequence[RegionState]) -> None:
        missing = [each for each in states if not each.is_complete]
        told = ", ".join(
            f"{each.region} ({each.entry or 'nothing of it yet'}; {each.state})" for each in missing
        )
        super().__init__(
            f"{query.repository}@{digest[:19]} isn't complete in {told}",
            detail={
                "repository": query.repository,
                "reference": query.reference,
                "digest": digest,
                "regions": plain(tuple(states)),
            },
        )


class Waiting:
    """Those who wait, by repository and digest."""

    def __init__(self, database: Database, instances: Instances, max_waiting: int) -> None:
        self._database = database
        self._instances = instances
        self.max_waiting = max_waiting
        self._sleepers: dict[Key, set[asyncio.Event]] = {}
        self._number = 0
        self._is_draining = False

    def __len__(self) -> int:
        return self._number

    def note(self, changes: Sequence[Change]) -> None:
        """Wake those who wait for what a replica has reported on."""
        for key in {(each.entry.repository, each.entry.digest or "") for each in changes}:
            for sleeper in self._sleepers.get(key, ()):
                sleeper.set()

    def drain(self) -> None:
        """Let everybody go: they ask again where somebody listens."""
        self._is_draining = True
        for sleepers in self._sleepers.values():
            for sleeper in sleepers:
                sleeper.set()

    async def wait(self, query: WaitQuery, has_left: Callable[[], bool]) -> Arrived:
        """Give how it stands once the artifact is complete where it is asked for.

        has_left: whether whoever asked has gone.

        Raises: NotFound: no such tag or region. NotComplete: the time is over. Unavailable: too
        many wait, or this hub ends. Invalid: no reference.
        """
        try:
            reference = parse_reference(query.reference)
        except RegistryError as exc:
            raise Invalid("reference: expected a tag or a digest") from exc
        work = partial(resolve, repository=query.repository, reference=reference)
        digest = await self._database.read(work)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + query.timeout
        with self._joined((query.repository, digest)) as sleeper:
            while True:
                sleeper.clear()
                states = await self._look(query, digest)
                if all(each.is_complete for each in states):
                    return Arrived(query.repository, query.reference, digest, states)
                if self._is_draining or has_left():
                    raise Unavailable("the hub ends; ask again")
                left = deadline - loop.time()
                if left <= 0:
                    raise NotComplete(query, digest, states)
                await _sleep(sleeper, min(left, LOOK_SECONDS))

    @contextmanager
    def _joined(self, key: Key) -> Iterator[asyncio.Event]:
        if self._is_draining or self._number >= self.max_waiting:
            raise Unavailable("too many wait already", retry_after_seconds=5)
        sleeper = asyncio.Event()
        self._number += 1
        self._sleepers.setdefault(key, set()).add(sleeper)
        try:
            yield sleeper
        finally:
            self._number -= 1
            self._sleepers[key].discard(sleeper)
            if not self._sleepers[key]:
                del self._sleepers[key]

    async def _look(self, query: WaitQuery, digest: str) -> tuple[RegionState, ...]:
        views = chosen(await self._instances.list(), query.region)

        def read(connection: Connection) -> tuple[RegionState, ...]:
            entries = works.of_digest(connection, query.repository, digest)
            return tuple(arrival(view, entries) for view in views)

        return await self._database.read(read)


async def _sleep(sleeper: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await sleeper.wait()
    except TimeoutError:
        return
