"""What was answered 202 is in the log, whatever ended the hub."""

import http.client
import signal
import threading
from pathlib import Path

from hub.clock import SystemClock
from hub.database import Database
from hub.log.log import Limits, Log
from tests.hub.place import pushed
from tests.hub.process import HubProcess, hub_process
from tests.support.waiting import wait_until

SENDERS = 8


class Sending:
    """Senders that post as fast as they are answered, until nobody answers."""

    def __init__(self, hub: HubProcess, name: str) -> None:
        self._hub = hub
        self._name = name
        self.answered: list[str] = []
        self._threads = [threading.Thread(target=self._send, args=(n,)) for n in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _send(self, number: int) -> None:
        for count in range(10_000):
            tag = f"{self._name}-{number}-{count}"
            try:
                status = self._hub.post(pushed(tag)).status
            except (OSError, http.client.HTTPException):
                return
            if status == 202:
                self.answered.append(tag)

    def wait_for(self, number: int) -> None:
        """Wait until so many were answered."""
        wait_until(lambda: len(self.answered) >= number, 20)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


async def logged_tags(database: Path) -> list[str]:
    """Read the log of a hub that doesn't run; its numbers have no gap."""
    opened = Database(f"sqlite:///{database}")
    await opened.open()
    log = Log(opened, Limits(1e9, 10**9, 0), SystemClock())
    await log.open()
    entries = await log.read(0, log.extent.head, 1_000_000)
    await opened.close()
    assert [entry.seq for entry in entries] == list(range(1, log.extent.head + 1))
    return [entry.body.partition('"tag":"')[2].partition('"')[0] for entry in entries]


async def test_nothing_that_was_answered_is_lost(tmp_path: Path) -> None:
    """kill -9 amid many notifications, again and again: each that got its 202 is in the log."""
    answered: list[str] = []
    with hub_process(tmp_path) as hub:
        for run in range(3):
            hub.start()
            sending = Sending(hub, f"run{run}")
            sending.wait_for(40 * (run + 1))
            assert hub.process.kill() == -signal.SIGKILL
            sending.join()
            answered += sending.answered
        logged = await logged_tags(hub.database)
    assert len(answered) >= 120
    assert set(answered) <= set(logged)
    assert len(set(logged)) == len(logged)


async def test_a_stop_finishes_what_is_under_way(tmp_path: Path) -> None:
    """C25: after SIGTERM nothing is answered that isn't kept, and the hub ends in order."""
    with hub_process(tmp_path) as hub:
        hub.start()
        sending = Sending(hub, "run")
        sending.wait_for(40)
        assert hub.process.stop() == 0
        sending.join()
        assert [line["event"] for line in hub.events("hub.stopped")] == ["hub.stopped"]
        assert set(sending.answered) <= set(await logged_tags(hub.database))
