"""A hub in this process that stops, comes back, loses its database, or gets another epoch."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from hub.database import Database
from hub.log import works
from hub.log.log import Limits
from hub.members import Member
from proxy.events.cursor import Cursor
from tests.hub.place import ADMIN, SENDER, Place, running_hub
from tests.support.loop_thread import LoopThread

REGION = "eu-frankfurt"


class Return(StrEnum):
    """How a hub comes back."""

    AS_IT_WAS = "as it was"
    NEW_EPOCH = "with another epoch"
    EMPTY = "without its database"


@dataclass(slots=True)
class HubLives:
    """One hub at one address; *folder* has its database and the token of the one replica.

    It trusts notifications, so that leases are given whatever the wire loses.
    """

    thread: LoopThread
    folder: Path
    address: str
    _stack: AsyncExitStack | None = None
    _place: Place | None = None

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    @property
    def is_up(self) -> bool:
        return self._stack is not None

    @property
    def place(self) -> Place:
        assert self._place is not None, "not running"
        return self._place

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def head(self) -> Cursor:
        return Cursor(self.place.epoch, self.place.head)

    def start(self) -> None:
        self._stack = AsyncExitStack()
        opened = running_hub(
            self.folder,
            listen__api=[self.address],
            listen__drain_limit="1s",
            primary__id="acme",
            primary__region="ap-singapore",
            sentinel__trust_notifications=True,
            subscription__reconnect_within="0s",
            subscription__heartbeat="200ms",
        )
        self._place = self.thread.run(self._stack.enter_async_context(opened))
        if not self.token_file.exists():
            self.token_file.write_text(self._new_token())
        self.place.members.by[self.token_file.read_text()] = Member(
            "acme-17", REGION, may_follow=True
        )

    def _new_token(self) -> str:
        asked = self.place.ask("POST", "/v1/replicas", ADMIN, {"region": REGION})
        status, document = self.thread.run(asked)
        assert status == 201, document
        return str(document["token"])

    def stop(self) -> None:
        assert self._stack is not None
        self.thread.run(self._stack.aclose())
        self._stack = self._place = None

    def come_back(self, how: Return) -> None:
        """Start again."""
        match how:
            case Return.NEW_EPOCH:
                self.thread.run(_renew(f"sqlite:///{self.folder / 'hub.db'}"))
            case Return.EMPTY:
                for path in (*self.folder.glob("hub.db*"), self.token_file):
                    path.unlink()
            case Return.AS_IT_WAS:
                pass
        self.start()

    def post(self, document: object, **headers: str) -> tuple[int, Any]:
        """Post a notification as the primary does, or with other headers."""
        return self.thread.run(self.place.post(document, headers or SENDER))

    def truncate(self, keep: int) -> None:
        """Trim the log to its newest events."""
        self.thread.run(_trim(self.place, keep))


async def _renew(url: str) -> None:
    database = Database(url)
    await database.open()
    await database.write(works.new_epoch)
    await database.close()


async def _trim(place: Place, keep: int) -> None:
    log = place.hub._log
    before, log.limits = log.limits, Limits(1e9, keep, 0)
    try:
        await log.trim()
    finally:
        log.limits = before
