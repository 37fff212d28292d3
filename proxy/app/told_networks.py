"""The networks that the hub links to this region: asked for, kept, and brought to the door.

Rules:
- What the hub said last counts until it says something else. A hub that is away, refuses this
  replica, doesn't speak of networks or says what can't be read opens nothing and closes nothing.
- It is kept in the store (0600) and read before the first client comes: a restart without the hub
  is as closed as before. Where nothing was ever kept, the hub is asked before the first client, and
  has five seconds; a region of which nothing is known yet is as open as its own settings say.
- Where what was kept can't be read, the own settings' networks alone count until the hub answers.
- It is asked at the start, and whenever its settings for us have changed, or may have.
"""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from config import parse_network
from proxy.net.hub import HubRefused, JsonObject
from proxy.oci.errors import RegistryError
from proxy.registry.durable import read_small, write_file
from proxy.replication.pace import Pace
from proxy.telemetry.logs import EventLog
from proxy.web.region_access import Listed, RegionAccess

FILE_NAME = "networks.json"
MAX_NETWORKS = 10_000
MAX_FILE_BYTES = 1 << 20
FIRST_SECONDS = 5.0


class Hub(Protocol):
    """Who is asked."""

    async def get(self, target: str) -> JsonObject:
        """See `HubClient.get`."""
        ...


class ToldNetworks:
    """`load` before the first client is answered, then `run` as a task of the owner's.

    *on_said* hears each answer, for what else the hub says of this replica.
    """

    def __init__(
        self,
        hub: Hub,
        kept: "KeptNetworks",
        access: RegionAccess,
        log: EventLog,
        pace: Pace | None = None,
        on_said: Callable[[JsonObject], None] = lambda _: None,
    ) -> None:
        self._hub = hub
        self._kept = kept
        self._access = access
        self._log = log
        self._pace = pace or Pace()
        self._on_said = on_said
        self._wake = asyncio.Event()
        self._known: Listed | None = None
        self._error = ""

    def look(self) -> None:
        """The hub may have something else to say: ask it."""
        self._wake.set()

    async def load(self) -> None:
        """Go by what was kept or, where there is nothing that can be read, by what the hub says."""
        try:
            kept = await asyncio.to_thread(self._kept.read)
        except (OSError, ValueError) as exc:
            self._access.list_told(None)
            self._log.error("networks.unreadable", error=str(exc))
        else:
            if kept is not None:
                self._take(kept)
                return
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                await self._ask()
        except (RegistryError, OSError, ValueError) as exc:  # TimeoutError is an OSError
            self._note(exc)

    async def run(self) -> None:
        """Ask for ever, when there is a reason to."""
        failures = 0
        while True:
            self._wake.clear()
            try:
                await self._ask()
            except (RegistryError, OSError, ValueError) as exc:
                self._note(exc)
                is_refused = isinstance(exc, HubRefused)
                seconds = self._pace.seconds_after_refusal() if is_refused else None
                await self._pace.pause(seconds or self._pace.seconds(failures), self._wake)
                failures += 1
            else:
                failures, self._error = 0, ""
                await self._wake.wait()

    async def _ask(self) -> None:
        """Ask once; what is new counts at once, and is kept.

        Raises: RegistryError: the hub says nothing. ValueError: it can't be read. OSError: it
                counts, and isn't kept.
        """
        said = await self._hub.get("/v1/self")
        self._on_said(said)
        if (listed := said.get("networks")) is None:
            return
        networks = await asyncio.to_thread(networks_of, listed)
        self._take(networks)
        await asyncio.to_thread(self._kept.write, networks)

    def _take(self, networks: Listed) -> None:
        if networks == self._known:
            return
        self._known = networks
        self._access.list_told(networks)
        self._log.info("networks.told", networks=len(networks))

    def _note(self, error: Exception) -> None:
        """Log what stands in the way, once in a row."""
        text = str(error) or type(error).__name__
        if text != self._error:
            self._log.warning("networks.not_told", error=text)
        self._error = text


class KeptNetworks:
    """The file with what the hub said last; everything here blocks."""

    def __init__(self, folder: Path, spool: Path) -> None:
        self._path = folder / FILE_NAME
        self._spool = spool
        self._written: Listed | None = None

    def read(self) -> Listed | None:
        """Give what was kept; None: nothing ever was. Raises: OSError, ValueError: it can't be."""
        data = read_small(self._path, MAX_FILE_BYTES)
        if data is None:
            if os.path.lexists(self._path):
                raise ValueError(f"{self._path} is no file")
            return None
        try:
            self._written = networks_of(json.loads(data)["networks"])
        except (ValueError, LookupError, TypeError, RecursionError) as exc:
            raise ValueError(f"{self._path} holds no networks") from exc
        return self._written

    def write(self, networks: Listed) -> None:
        """Keep them, unless they are. Raises: OSError."""
        if networks == self._written:
            return
        document = {"networks": [str(each) for each in networks]}
        write_file(self._path, json.dumps(document).encode(), self._spool, 0o600)
        self._written = networks


def networks_of(said: object) -> Listed:
    """Read a list of networks. Raises: ValueError: it is none, or one of them isn't."""
    if not isinstance(said, list) or len(said) > MAX_NETWORKS:
        raise ValueError(f"networks: expected a list of at most {MAX_NETWORKS}")
    if not all(isinstance(each, str) for each in said):
        raise ValueError("networks: expected texts")
    return tuple(map(parse_network, said))
