"""The order in which the disk hears of things, read off a trace of the real calls."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults_disk.driver import BLOB, MANIFEST
from tests.faults_disk.tracing import Call, attached, calls_in
from tests.support.layers import digest_of
from tests.support.store_tree import TREE, blob_path

TRACED = "openat,mkdir,rename,fsync,fdatasync,pwrite64,write,ftruncate,unlink,rmdir"
SLOW_SYNCS = ("-e", "inject=fsync:delay_exit=80000")
WRITES = {"pwrite64", "write", "ftruncate", "fallocate"}


@dataclass(frozen=True, slots=True)
class Trace:
    """What one work asked of the disk."""

    root: Path
    calls: list[Call]

    def of(self, name: str, fits: Callable[[Call], bool] = lambda _: True) -> list[Call]:
        found = [call for call in self.calls if call.name == name and not call.has_failed]
        return [call for call in found if fits(call)]

    @property
    def renames(self) -> list[Call]:
        """Give the renames that give something a name in the tree."""
        return self.of("rename", lambda call: call.paths[1].startswith(f"{self.root / TREE}/"))

    def named(self, end: str) -> Call:
        """Give the one rename whose target ends so."""
        (found,) = [call for call in self.renames if call.paths[1].endswith(end)]
        return found

    def synced(self, path: str, *, after: Call) -> int:
        """Give the place at which *path* was synced first after a call."""
        ends = [c.ended for c in self.of("fsync") if c.file == path and c.began > after.ended]
        assert ends, f"{path} was not synced after {after.name} {after.paths}"
        return min(ends)

    def durable(self, rename: Call) -> int:
        """Give the place from which on what a rename did survives a power cut."""
        return self.synced(str(Path(rename.paths[1]).parent), after=rename)


@pytest.fixture
def trace(driver, tmp_path) -> Callable[..., Trace]:
    def trace(work: str, *options: str) -> Trace:
        root, log = tmp_path / "store", tmp_path / "trace.log"
        pid = driver.begin(work, root, inline=False)
        with attached(pid, log, "-e", f"trace={TRACED}", *options):
            assert driver.go() == 0
        return Trace(root, calls_in(log))

    return trace


@pytest.mark.parametrize("work", ["fill", "share", "push", "retag", "mend"])
def test_a_file_is_synced_before_it_has_a_name(trace, work):
    """C3, F2: what is renamed into the tree was synced before, and not written to since."""
    traced = trace(work)
    assert traced.renames
    for rename in traced.renames:
        source, target = rename.paths
        assert Path(source).parent == traced.root / "spool", target
        syncs = [c for c in traced.of("fsync") if c.file == source and c.ended < rename.began]
        assert syncs, f"{target} has a name before its bytes are safe"
        later = [c for c in traced.calls if c.name in WRITES and c.file == source]
        assert max(c.ended for c in later) < syncs[-1].began


@pytest.mark.parametrize("work", ["fill", "share", "push", "retag", "mend"])
def test_every_folder_that_gained_an_entry_is_synced(trace, work):
    """C3, F2: after each rename and each new folder, the folder around it is synced."""
    traced = trace(work)
    gained = [(call, call.paths[1]) for call in traced.of("rename")]
    gained += [(call, call.paths[0]) for call in traced.of("mkdir")]
    inside = [(call, path) for call, path in gained if path.startswith(f"{traced.root}/")]
    assert len(inside) > 8
    for call, path in inside:
        traced.synced(str(Path(path).parent), after=call)
    assert not [c for c in traced.calls if c.name in {"fsync", "fdatasync"} and c.has_failed]


def test_bytes_then_link_then_row(trace):
    """C3, F2: blob, link, tag, row of the sidecar: each is safe before the next begins, on a disk
    whose syncs take their time, too.
    """
    traced = trace("fill", *SLOW_SYNCS)
    assert any("DELAYED" in c.result for c in traced.of("fsync")), "no sync was slow"
    blob, manifest = digest_of(BLOB), digest_of(MANIFEST)
    for digest, kind in ((blob, "_layers"), (manifest, "_manifests/revisions")):
        data = traced.named(str(blob_path(traced.root, digest)))
        link = traced.named(f"{kind}/{digest.replace(':', '/')}/link")
        assert traced.durable(data) < link.began
    tag = traced.named("tags/1.0/current/link")
    assert traced.durable(traced.named(f"revisions/{manifest.replace(':', '/')}/link")) < tag.began
    sidecar = str(traced.root / "proxima.sqlite")
    commits = [c for c in traced.of("pwrite64") if c.file == sidecar and c.began > tag.began]
    assert commits
    early = [c for c in traced.of("pwrite64") if c.file == sidecar and c.began < tag.began]
    rows_begin = min(c.began for c in traced.renames)
    assert not [c for c in early if c.began > rows_begin], "a row before what it tells of"
    assert traced.durable(tag) < min(c.began for c in commits)
