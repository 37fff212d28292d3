"""Pulls, parts, pushes, deletions, cuts, outages, restarts, evictions, purges, checks, rot and a
full disk in any order, beside a model: what is complete is right, what may be there is there.

`make test` runs some short lives, `make soak` many long ones.
"""

import errno
import io
import os
from contextlib import ExitStack, redirect_stderr, redirect_stdout, suppress

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from config import ByteSize
from proxy.cli.parser import parse_arguments
from proxy.registry.interrupted import read_marks
from tests.access.in_process import InProcess, in_process
from tests.faults_disk.driver import make_small
from tests.faults_disk.sweeping import IS_SOAK
from tests.registry_store.ground import open_files
from tests.support.hostile import (
    BLOBS,
    Contents,
    Cut,
    Fault,
    HostileUpstream,
    Settings,
    hostile_upstream,
)
from tests.support.images import oci_image, random_layer
from tests.support.layers import Blob
from tests.support.raw_http import RawReply, exchange, request_bytes
from tests.support.store_tree import blob_path, linked_blobs, visible_blobs, wrong_blobs

IMAGE = oci_image("machine", layers=[random_layer(n * 102_400, str(n)) for n in (1, 2, 4, 7)])
THINGS: dict[str, Blob] = {each.digest: each for each in IMAGE.blobs}
CAPACITY = ByteSize(1_000_000)
"""Less than all of it: contents are evicted."""
SOON = 61.0
"""Beyond it breakers try again, and rights are asked for anew."""

digests = st.sampled_from(tuple(THINGS))
shares = st.floats(0, 1, exclude_max=True)


def refusing(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Machine(RuleBasedStateMachine):
    """`present` is what the primary has, `rotten` what was spoilt in the store."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.present: set[str] = set()
        self.rotten: set[str] = set()
        self.is_away = False
        self.is_unsure = False
        self.has_right = False
        self.had_full_disk = False
        self.pending: Fault | None = None
        self.full_disk: pytest.MonkeyPatch | None = None

    upstream: HostileUpstream
    one: InProcess

    @initialize(first=st.sets(digests))
    def begin(self, first: set[str]) -> None:
        patched = self.stack.enter_context(pytest.MonkeyPatch.context())
        make_small(patched.setattr)
        contents = Contents()
        held = contents.add("app", IMAGE, "v1")
        assert held is IMAGE
        blobs = contents.repository("app").blobs
        for digest in tuple(blobs):
            if digest not in first:
                del blobs[digest]
        self.present = set(first)
        self.upstream = self.stack.enter_context(
            hostile_upstream(contents=contents, settings=Settings(checks_blobs=False))
        )
        store = {"capacity": CAPACITY}
        self.one = self.stack.enter_context(in_process(self.upstream.url, store=store))

    # --- what clients do --------------------------------------------------------------------------

    def send(self, method: str, path: str, *fields: tuple[str, str], body: bytes = b"") -> RawReply:
        request = request_bytes(method, path, self.one.address, *fields, body=body)
        return exchange(self.one.address, request, method=method)

    def check(self, digest: str, reply: RawReply, good: int, wanted: bytes, is_here: bool) -> None:
        """What is complete is right; what is sure to be had is had."""
        self.has_right |= not self.is_away and reply.status == good
        if reply.status == good and reply.is_complete:
            assert reply.body == wanted
            assert digest in self.present
        elif is_here or not (self.is_away or self.is_unsure or digest in self.rotten):
            is_present = digest in self.present
            may_break = self.pending is not None and (self.had_full_disk or not is_present)
            is_cut = may_break and reply.status in (good, 503)
            assert is_cut or (reply.status, is_present) == (404, False), reply
        else:
            assert reply.status in (good, 404, 502, 503), reply

    def is_here(self, digest: str) -> bool:
        """Say whether a pull needs nobody else."""
        root = self.one.settings.store.root
        is_known = self.has_right and not self.is_unsure and digest not in self.rotten
        return is_known and digest in visible_blobs(root) and digest in linked_blobs(root, "app")

    @rule(digest=digests)
    def pull(self, digest: str) -> None:
        is_here = self.is_here(digest)
        reply = self.send("GET", f"/v2/app/blobs/{digest}")
        self.check(digest, reply, 200, THINGS[digest].data, is_here)

    @rule(digest=digests, share=shares, size=st.integers(1, 50_000))
    def pull_part(self, digest: str, share: float, size: int) -> None:
        data = THINGS[digest].data
        first = int(len(data) * share)
        is_here = self.is_here(digest)
        part = ("Range", f"bytes={first}-{first + size - 1}")
        reply = self.send("GET", f"/v2/app/blobs/{digest}", part)
        self.check(digest, reply, 206, data[first : first + size], is_here)

    @rule()
    def pull_manifest(self) -> None:
        reply = self.send("GET", "/v2/app/manifests/v1")
        if reply.status == 200:
            assert reply.body == IMAGE.data
        else:
            assert self.is_away or self.is_unsure, reply

    @precondition(lambda self: not self.is_away)
    @rule(digest=digests)
    def push(self, digest: str) -> None:
        target = f"/v2/app/blobs/uploads/?digest={digest}"
        data = THINGS[digest].data
        length = ("Content-Length", str(len(data)))
        reply = self.send("POST", target, length, body=data)
        if reply.status == 201:
            self.present.add(digest)
        else:
            assert self.is_unsure, reply

    @precondition(lambda self: not self.is_away)
    @rule(digest=digests)
    def delete(self, digest: str) -> None:
        reply = self.send("DELETE", f"/v2/app/blobs/{digest}")
        if reply.status == 202:
            self.present.discard(digest)
        else:
            assert self.is_unsure or (reply.status, digest in self.present) == (404, False), reply

    # --- what happens to the link -----------------------------------------------------------------

    @rule(share=shares, times=st.integers(1, 2))
    def cut(self, share: float, times: int) -> None:
        """The next transfers break somewhere: fewer than a fill gives up after."""
        if self.pending is not None and self.pending.fired < (self.pending.times or 0):
            return
        at = int(100_000 * share)
        self.pending = self.upstream.inject(Cut(at), method="GET", path=BLOBS, times=times)

    @precondition(lambda self: not self.is_away)
    @rule()
    def go_away(self) -> None:
        self.upstream.cut()
        self.is_away = True

    @precondition(lambda self: self.is_away)
    @rule()
    def come_back(self) -> None:
        self.upstream.restore()
        self.upstream.heal()
        self.is_away = False
        self.one.clock.advance(SOON)
        self.is_unsure = False

    @rule()
    def restart(self) -> None:
        self.one.restart()
        self.has_right = False
        self.is_unsure = self.is_away  # nobody's rights are known until the primary is back

    # --- what happens to the store ----------------------------------------------------------------

    def verb(self, name: str, *more: str) -> int:
        """Do a verb as its command line does, through the replica."""
        root = str(self.one.settings.store.root)
        arguments = parse_arguments([name, *more, "--store", root, "--json"])
        with redirect_stdout(io.StringIO()) as said, redirect_stderr(said):
            status = arguments.verb(arguments, None)
        assert status in (0, 1), said.getvalue()
        return int(status)

    @rule(digest=digests)
    def purge(self, digest: str) -> None:
        """What is purged is linked no more, unless the primary gave it out meanwhile: to a flight
        that goes on after a break, say.
        """
        asked = len(self.upstream.seen)
        self.verb("purge", f"app@{digest}")
        is_linked = digest in linked_blobs(self.one.settings.store.root, "app")
        proofs = [
            each.status // 100 for each in self.upstream.seen[asked:] if digest in each.target
        ]
        assert not is_linked or 2 in proofs

    @rule()
    def collect(self) -> None:
        self.verb("gc")

    @rule(is_repairing=st.booleans())
    def verify(self, is_repairing: bool) -> None:
        visible = set(visible_blobs(self.one.settings.store.root))
        status = self.verb("verify", *(["--repair"] if is_repairing else []))
        if not self.rotten & visible:
            assert status == 0
        elif is_repairing and self.full_disk is None:
            self.rotten.clear()

    @rule(digest=digests, share=shares)
    def rot(self, digest: str, share: float) -> None:
        file = blob_path(self.one.settings.store.root, digest)
        with suppress(FileNotFoundError), file.open("r+b") as opened:
            at = int(len(THINGS[digest].data) * share)
            opened.seek(at)
            opened.write(bytes([THINGS[digest].data[at] ^ 1]))
            self.rotten.add(digest)

    @precondition(lambda self: self.full_disk is None)
    @rule()
    def fill_disk(self) -> None:
        self.had_full_disk = True
        self.full_disk = pytest.MonkeyPatch()
        for call in ("posix_fallocate", "pwrite"):
            self.full_disk.setattr(os, call, refusing)

    @precondition(lambda self: self.full_disk is not None)
    @rule()
    def make_room(self) -> None:
        assert self.full_disk is not None
        self.full_disk.undo()
        self.full_disk = None

    # --- what holds at any time -------------------------------------------------------------------

    @invariant()
    def what_is_visible_is_right(self) -> None:
        if not hasattr(self, "one"):
            return
        root = self.one.settings.store.root
        assert wrong_blobs(root) <= self.rotten
        assert linked_blobs(root, "app") <= self.present

    def teardown(self) -> None:
        try:
            if self.full_disk is not None:
                self.full_disk.undo()
            if hasattr(self, "one"):
                self.check_end()
        finally:
            self.stack.close()

    def check_end(self) -> None:
        """A stop leaves no open file of the store, and in the spool what can go on."""
        root = self.one.settings.store.root
        self.one.stop()
        marked = {name for mark in read_marks(root / "spool") for name in _names(mark.path.name)}
        assert {each.name for each in (root / "spool").iterdir()} <= marked
        assert open_files(root) == []


def _names(name: str) -> tuple[str, str]:
    return name, f"{name}.mark"


TestMachine = pytest.mark.timeout(3600 if IS_SOAK else 120)(Machine.TestCase)
TestMachine.settings = settings(
    max_examples=200 if IS_SOAK else 8,
    stateful_step_count=80 if IS_SOAK else 30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
