"""T25: any sequence of fills, pulls, pins, reads and restarts held against a model of capacity."""

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.registry.order import SMALL_BYTES
from proxy.registry.pins import Pin
from proxy.registry.room import Claim, Limits
from tests.registry_store.accounts import Accounts, opened_accounts
from tests.registry_store.ground import A, Heard, ManualClock
from tests.support.layers import random_bytes

CAPACITY = 1_000_000
SIZES = (70_000, 90_000, 150_000, 300_000, 1_000_001, 100, 60_000)
CONTENTS = [random_bytes(size, f"content-{size}-{n}") for n in range(4) for size in SIZES]
DIGESTS = [Digest.of(data) for data in CONTENTS]
contents = st.integers(0, len(CONTENTS) - 1)


class CapacityModel(RuleBasedStateMachine):
    """`order` has what was kept, with what decides when it goes: rank, then the last use."""

    @initialize(numbers=st.lists(contents, min_size=5, max_size=12, unique=True))
    def begin(self, numbers: list[int]) -> None:
        shared = Path("/dev/shm")
        self.folder = tempfile.mkdtemp(dir=shared if shared.is_dir() else None)
        self.runner = asyncio.Runner()
        self.heard, self.clock = Heard(), ManualClock()
        self.used = 0
        self.pulled_last = ""
        self.order: dict[str, tuple[bool, bool, int]] = {}
        self.pinned: set[str] = set()
        self.held: list[Digest] = []
        self.claims: list[Claim] = []
        self.here: dict[str, int] = {}
        self._open()
        self.fill(numbers, is_pulled=False)

    def _open(self) -> None:
        self.stack = AsyncExitStack()
        opened = opened_accounts(
            Path(self.folder) / "store", self.heard, self.clock, Limits(CAPACITY)
        )
        self.accounts: Accounts = self.runner.run(self.stack.enter_async_context(opened))

    def _close(self) -> None:
        for claim in self.claims:
            claim.release()
        for digest in self.held:
            self.accounts.room.let_go(digest)
        self.claims, self.held = [], []
        self.runner.run(self.stack.aclose())

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self._close()
            self.runner.close()
            self.heard.close()
            shutil.rmtree(self.folder)

    # --- the model --------------------------------------------------------------------------------

    def _note(self, digest: str, size: int, *, is_pulled: bool) -> None:
        self.used += 1
        was_pulled = self.order[digest][1] if digest in self.order else False
        was_pulled |= digest == self.pulled_last  # within this minute, be it evicted meanwhile
        self.order[digest] = (size <= SMALL_BYTES, is_pulled or was_pulled, self.used)

    def _stays(self, digest: str) -> bool:
        return digest in self.pinned or digest in {str(each) for each in self.held}

    def _check_gone(self, before: dict[str, int], new: str = "") -> list[str]:
        """Whatever went was free to go, and went before everything that stayed."""
        here = self.accounts.here
        gone = [digest for digest in before if digest not in here]
        assert not any(self._stays(digest) for digest in gone)
        free = [each for each in before if each in here and not self._stays(each) and each != new]
        if gone and free:
            assert max(self.order[each] for each in gone) < min(self.order[each] for each in free)
        for digest in gone:
            del self.order[digest]
        self.here = here
        return gone

    # --- what may happen --------------------------------------------------------------------------

    @rule(numbers=st.lists(contents, min_size=1, max_size=8), is_pulled=st.booleans())
    def fill(self, numbers: list[int], is_pulled: bool) -> None:
        """Contents come one after the other."""
        for number in numbers:
            self._fill(number, is_pulled=is_pulled)

    def _fill(self, number: int, *, is_pulled: bool) -> None:
        """A content comes, unless what may go isn't enough for it."""
        data = CONTENTS[number]
        digest, before = str(DIGESTS[number]), dict(self.here)
        may_go = sum(
            size for each, size in before.items() if not self._stays(each) and each != digest
        )
        beyond = self.accounts.room.taken_bytes + len(data) - CAPACITY
        is_kept = self.runner.run(self.accounts.keep(data, is_pulled=is_pulled))
        if is_pulled:
            self.pulled_last = digest
        assert is_kept == (len(data) <= CAPACITY and beyond <= may_go)
        gone = self._check_gone(before, new=digest)
        sizes = [before[each] for each in gone]
        assert not is_kept or sum(sizes) - max(sizes, default=0) < max(1, beyond)
        assert is_kept or not gone
        if is_kept or (is_pulled and digest in self.order):
            self._note(digest, len(data), is_pulled=is_pulled)

    @rule(numbers=st.lists(contents, min_size=1, max_size=8))
    def pull(self, numbers: list[int]) -> None:
        """Hits promote."""
        for number in numbers:
            self._pull(number)

    def _pull(self, number: int) -> None:
        digest = DIGESTS[number]
        if str(digest) in self.here:
            self.accounts.pull(digest)
            self.pulled_last = str(digest)
            self._note(str(digest), len(CONTENTS[number]), is_pulled=True)

    @rule()
    def look(self) -> None:
        """The background evicts down to the low mark, if it can."""
        before = dict(self.here)
        is_within = self.runner.run(self.accounts.look())
        self._check_gone(before)
        room = self.accounts.room
        may_go = sum(size for each, size in self.here.items() if not self._stays(each))
        assert room.taken_bytes <= room.limits.high_bytes or not is_within
        assert is_within or may_go == 0

    @rule(number=contents)
    def read(self, number: int) -> None:
        if str(DIGESTS[number]) in self.here and len(self.held) < 3:
            self.held.append(DIGESTS[number])
            self.accounts.room.hold(DIGESTS[number])

    @rule()
    def end_reading(self) -> None:
        if self.held:
            self.accounts.room.let_go(self.held.pop(0))

    @rule(size=st.sampled_from((50_000, 200_000, 500_000)))
    def claim(self, size: int) -> None:
        """A fill that is under way has its room before its bytes come."""
        before = dict(self.here)
        claim = self.accounts.room.claim()
        try:
            self.runner.run(claim.cover(size))
        except StoreUnavailable:
            claim.release()
        else:
            self.claims.append(claim)
        self._check_gone(before)

    @rule()
    def give_up(self) -> None:
        if self.claims:
            self.claims.pop().release()

    @rule(number=contents)
    def pin(self, number: int) -> None:
        if len(self.pinned) < 4:
            self.runner.run(self.accounts.capacity.pins.add(Pin(A, DIGESTS[number])))
            self.pinned.add(str(DIGESTS[number]))

    @rule(number=contents)
    def unpin(self, number: int) -> None:
        was_there = self.runner.run(self.accounts.capacity.pins.remove(Pin(A, DIGESTS[number])))
        assert was_there == (str(DIGESTS[number]) in self.pinned)
        self.pinned.discard(str(DIGESTS[number]))

    @rule()
    def restart(self) -> None:
        """Order, accounts and pins outlive it; the clock may have gone back meanwhile."""
        self._close()
        self.clock.wall_offset -= 50.0
        self.pulled_last = ""
        self._open()

    @rule(number=contents)
    def count(self, number: int) -> None:
        """A recount of the folder that has this content finds nothing to correct."""
        self.runner.run(self.accounts.count_around(DIGESTS[number]))

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def is_within_capacity(self) -> None:
        if not hasattr(self, "runner"):
            return
        here, room = self.accounts.here, self.accounts.room
        assert here == self.here
        assert set(here) == set(self.order)
        assert self.runner.run(self.accounts.capacity.usage.write())
        assert sum(here.values()) == self.accounts.capacity.usage.stored_bytes
        assert len(here) == self.accounts.capacity.usage.stored_contents
        assert room.claimed_bytes == sum(claim.size for claim in self.claims)
        assert sum(here.values()) + room.claimed_bytes <= CAPACITY


TestCapacityModel = CapacityModel.TestCase
TestCapacityModel.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, print_blob=True
)
