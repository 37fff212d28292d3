"""Which requests meet which fault, how often; and how often each did."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.hostile.answers import Answer
from tests.support.hostile.faults import Kind, RefuseEarly, Unread
from tests.support.http1 import Request
from tests.support.waiting import wait_until

ANY_PATH = r".*"
MANIFESTS = r"/v2/.+/manifests/.+"
BLOBS = r"/v2/.+/blobs/.+:.+"
UPLOADS = r"/v2/.+/blobs/uploads/.*"
TAGS = r"/v2/.+/tags/list"
REFERRERS = r"/v2/.+/referrers/.+"


@dataclass(slots=True)
class Fault:
    """A kind of fault and who meets it; *fired* counts the requests that did."""

    kind: Kind
    method: str | None
    path: re.Pattern[str]
    where: Callable[[Request], bool] | None
    skip: int
    times: int | None
    fired: int = 0
    _skipped: int = 0

    def release(self) -> None:
        """Let go what is held, stalled or unread, now and later."""
        gate = getattr(self.kind, "gate", None)
        assert isinstance(gate, threading.Event), f"{self.kind} holds nothing"
        gate.set()

    def wait_fired(self, times: int = 1, timeout_seconds: float = 10.0) -> None:
        """Wait until *times* requests have met this fault. Raises: NeverHappened."""
        wait_until(lambda: self.fired >= times, timeout_seconds, f"{self.kind} fires {times}x")

    def meets(self, request: Request) -> bool:
        """Tell whether this request meets the fault, and count it."""
        if not self._fits(request) or (self.times is not None and self.fired >= self.times):
            return False
        if self._skipped < self.skip:
            self._skipped += 1
            return False
        self.fired += 1
        return True

    def _fits(self, request: Request) -> bool:
        return (
            self.method in (None, request.method)
            and self.path.fullmatch(request.path) is not None
            and (self.where is None or self.where(request))
        )


@dataclass(slots=True)
class FaultBook:
    """The faults that are set, in the order in which they apply."""

    faults: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Take a fault back; its count stays."""
        self.faults.remove(fault)

    def met_by(self, request: Request) -> list[Kind]:
        """Give what this request meets, and count it."""
        return [fault.kind for fault in list(self.faults) if fault.meets(request)]

    def release_all(self) -> None:
        """Let go all that is held."""
        for fault in self.faults:
            if hasattr(fault.kind, "gate"):
                fault.release()


def spoiled(kinds: list[Kind], request: Request, answer: Answer) -> Answer:
    """Give *answer* after every fault that concerns answers."""
    for kind in kinds:
        if not isinstance(kind, RefuseEarly | Unread):
            answer = kind.apply(request, answer)
    return answer
