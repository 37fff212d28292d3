"""A replica that lives, is killed, and lives again on the same store.

A kill leaves what a process that is ended by SIGKILL leaves: what the file system has, and nothing
that would have been written after. Its event loop stops between two callbacks and goes on no more,
its threads end the system call they are in, its connections break.
"""

import asyncio
import os
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

from config import Settings
from proxy.app import Replica
from proxy.app.replication import Replication
from proxy.registry.sidecar import Sidecar
from proxy.registry.tree import Tree
from proxy.telemetry import EventLog
from tests.fills.in_process import AdvancedClock
from tests.support.loop_thread import LoopThread

JOIN_SECONDS = 30.0
LOG_CHARACTERS = 20_000


class Lives:
    """One replica, one life after the other; `close` it in the end."""

    def __init__(self, settings: Settings, clock: AdvancedClock, log: Path) -> None:
        self.settings = settings
        self.clock = clock
        self.log_path = log
        self._descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._now: tuple[LoopThread, Replica] | None = None
        self._killed: list[tuple[LoopThread, Replica]] = []

    @property
    def is_up(self) -> bool:
        return self._now is not None

    @property
    def thread(self) -> LoopThread:
        assert self._now is not None, "not running"
        return self._now[0]

    @property
    def replica(self) -> Replica:
        assert self._now is not None, "not running"
        return self._now[1]

    @property
    def replication(self) -> Replication:
        found = self.replica.replication
        assert found is not None
        return found

    @property
    def store(self) -> Path:
        return self.settings.store.root

    @property
    def url(self) -> str:
        host, port = self.replica.registry_addresses[0]
        return f"http://{host}:{port}"

    # --- lives ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a life."""
        thread = LoopThread("replica").__enter__()
        replica = Replica(self.settings, EventLog(self._descriptor), self.clock)
        try:
            thread.run(replica.start())
        except BaseException:
            thread.__exit__(None, None, None)
            raise
        self._now = thread, replica

    def stop(self) -> None:
        """End a life in order."""
        thread, replica = self.thread, self.replica
        try:
            thread.run(replica.stop())
        except TimeoutError:
            _print_tasks(thread)
            raise
        replica._telemetry.log.flush()
        thread.__exit__(None, None, None)
        self._now = None

    def kill(self, turns: int) -> None:
        """End a life after so many turns of its event loop, without giving it a say."""
        thread, replica = self.thread, self.replica
        thread.loop.call_soon_threadsafe(_stop_after, thread.loop, turns)
        thread._thread.join(JOIN_SECONDS)
        assert not thread._thread.is_alive()
        _end_threads(replica)
        _hang_up(thread)
        self._killed.append((thread, replica))
        self._now = None

    def lose_sidecar(self) -> None:
        """Delete the sidecar between two lives."""
        assert not self.is_up
        for path in self.store.glob("proxima.sqlite*"):
            path.unlink()

    def log(self) -> str:
        """Give what all lives have logged."""
        if self._now is not None:
            self.thread.run(_flush(self.replica))
        return self.log_path.read_text()

    def print_log(self) -> None:
        """Print the end of the log, for pytest to show beside a failure."""
        print(self.log()[-LOG_CHARACTERS:])

    def close(self) -> None:
        """Bury the killed, once their store and whom they spoke to are gone."""
        if self.is_up:
            self.stop()
        for thread, replica in self._killed:
            _bury(thread, replica)
        os.close(self._descriptor)


async def _flush(replica: Replica) -> None:
    replica._telemetry.log.flush()


def _print_tasks(thread: LoopThread) -> None:
    """Print where the tasks of a life are that doesn't end."""
    for task in asyncio.all_tasks(thread.loop):
        print(task)
        task.print_stack(file=sys.stdout)


def _stop_after(loop: asyncio.AbstractEventLoop, turns: int) -> None:
    if turns:
        loop.call_soon(_stop_after, loop, turns - 1)
    else:
        loop.stop()


def _tree(replica: Replica) -> Tree:
    return replica._chain.store.tree


def _sidecar(replica: Replica) -> Sidecar:
    return replica._chain.book._sidecar


def _end_threads(replica: Replica) -> None:
    tree, sidecar = _tree(replica), _sidecar(replica)
    for executor in (tree.executor, sidecar._thread):
        executor.shutdown(cancel_futures=True)
    sidecar._file.close()
    assert tree._lock_descriptor is not None
    os.close(tree._lock_descriptor)
    tree._lock_descriptor = None


def _hang_up(thread: LoopThread) -> None:
    """End connections and stop listening; the objects keep their descriptors."""
    loop = thread.loop
    selector = loop._selector  # type: ignore[attr-defined]
    transports = tuple(loop._transports.values())  # type: ignore[attr-defined]
    sockets = [each.get_extra_info("socket") for each in transports]
    descriptors = {each.fileno() for each in sockets} | set(selector.get_map())
    own = loop._ssock.fileno()  # type: ignore[attr-defined]  # the loop's own, by which it wakes
    for descriptor in descriptors - {own, -1}:
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as each:
            if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                selector.unregister(descriptor)  # else the loop, once buried, accepts for ever
            each.shutdown(socket.SHUT_RDWR)


def _bury(thread: LoopThread, replica: Replica) -> None:
    """Release what a killed life still holds in this process."""
    thread.loop.set_exception_handler(lambda *_: None)  # whatever its ruins say
    winding = thread.submit(_wind_up(thread, replica))
    thread._thread = threading.Thread(target=thread.loop.run_forever, daemon=True)
    thread._thread.start()
    winding.result(JOIN_SECONDS)
    thread.__exit__(None, None, None)


async def _wind_up(thread: LoopThread, replica: Replica) -> None:
    await thread._wind_up()
    with suppress(Exception):  # its threads have ended
        await replica._stack.aclose()
