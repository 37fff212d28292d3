"""File operations: seen whole or not at all, and nothing left behind where they fail."""

import errno
import os
import stat
import threading

import pytest

from proxy.registry import durable
from tests.registry_store.ground import names_in


@pytest.fixture
def spool(tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.fixture
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_small_file_is_written_whole_however_the_kernel_takes_it(tmp_path, spool, monkeypatch):
    """A nearly full disk takes a part of a write without an error: the rest is written, too."""
    counts = []

    def takes_little(descriptor, data):
        counts.append(len(data))
        return real(descriptor, bytes(data)[:1000])

    real = os.write
    monkeypatch.setattr(os, "write", takes_little)
    durable.write_file(tmp_path / "a" / "b" / "file", b"x" * 4500, spool)
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"x" * 4500
    assert counts == [4500, 3500, 2500, 1500, 500]


@pytest.mark.parametrize("step", ["write", "fsync", "rename", "mkdir"])
def test_a_small_file_that_fails_is_not_there(tmp_path, spool, monkeypatch, step):
    """An error before the rename leaves neither the file nor a temporary one."""
    fired = []

    def fails(*_, **__):
        fired.append(step)
        raise OSError(errno.ENOSPC, "no space")

    module = os if step in ("write", "fsync") else type(tmp_path)
    monkeypatch.setattr(module, step, fails)
    with pytest.raises(OSError, match="no space"):
        durable.write_file(tmp_path / "new" / "file", b"data", spool)
    assert fired == [step]
    assert not (tmp_path / "new" / "file").exists()
    assert names_in(spool) == []


def test_an_older_file_is_replaced_at_once(tmp_path, spool):
    """Readers of the old file keep it whole; the name leads to the new one."""
    target = tmp_path / "file"
    durable.write_file(target, b"old", spool)
    with target.open("rb") as old:
        durable.write_file(target, b"new", spool)
        assert (old.read(), target.read_bytes()) == (b"old", b"new")


def test_others_may_read_what_is_kept_and_nobody_keys(tmp_path, spool, usual_umask):
    """A stock registry under another user reads the tree (0644, 0755); keys are ours (0600)."""
    durable.write_file(tmp_path / "tree" / "deep" / "data", b"data", spool)
    durable.write_file(tmp_path / "key", b"key", spool, mode=0o600)
    modes = {
        name: stat.S_IMODE((tmp_path / name).stat().st_mode)
        for name in ("tree", "tree/deep", "tree/deep/data", "key")
    }
    assert modes == {"tree": 0o755, "tree/deep": 0o755, "tree/deep/data": 0o644, "key": 0o600}


def test_folders_are_made_by_many_at_once(tmp_path):
    """Threads that need the same folders all find them made."""
    target = tmp_path / "a" / "b" / "c" / "d"
    failures = []

    def make() -> None:
        try:
            start.wait(10)
            durable.make_folders(target)
            assert target.is_dir()
        except BaseException as exc:  # noqa: BLE001  # handed to the test's own thread
            failures.append(exc)

    start = threading.Barrier(8)
    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert failures == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("file", b"content"),
        ("nothing", None),
        ("below a file", None),
        ("link", None),
        ("dangling link", None),
        ("folder", None),
        ("pipe", None),
    ],
)
def test_only_a_regular_file_has_small_content(tmp_path, kind, expected):
    """What isn't a regular file isn't the file that was meant: no link is followed, no pipe
    waited for.
    """
    target, other = tmp_path / "target", tmp_path / "other"
    other.write_bytes(b"content")
    match kind:
        case "file":
            target.write_bytes(b"content")
        case "below a file":
            target = other / "target"
        case "link":
            target.symlink_to(other)
        case "dangling link":
            target.symlink_to(tmp_path / "gone")
        case "folder":
            target.mkdir()
        case "pipe":
            os.mkfifo(target)
    assert durable.read_small(target, 100) == expected


def test_a_file_that_cannot_be_read_is_not_absent(tmp_path, monkeypatch):
    """An I/O error is raised: an outage is no miss."""
    target = tmp_path / "file"
    target.write_bytes(b"content")

    def fails(*_):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "read", fails)
    with pytest.raises(OSError, match="broken"):
        durable.read_small(target, 100)


def test_removing_says_whether_something_was_there(tmp_path):
    """Removing twice is no error."""
    target = tmp_path / "file"
    target.write_bytes(b"")
    assert [durable.remove_file(target) for _ in range(2)] == [True, False]
    assert durable.remove_file(tmp_path / "no" / "folder") is False


def test_leftovers_are_removed_and_no_link_is_followed(tmp_path, spool):
    """F6: files, folders, pipes and links in the spool go; what links lead to stays."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "kept").write_bytes(b"kept")
    (spool / "fill-garbage").write_bytes(b"\0" * 100)
    (spool / "folder" / "inner").mkdir(parents=True)
    (spool / "folder" / "inner" / "link").symlink_to(outside)
    (spool / "to-file").symlink_to(outside / "deep" / "kept")
    (spool / "to-folder").symlink_to(outside)
    (spool / "to-nothing").symlink_to(tmp_path / "gone")
    os.mkfifo(spool / "pipe")
    for entry in tuple(spool.iterdir()):
        durable.remove_whatever(entry)
    assert names_in(spool) == []
    assert (outside / "deep" / "kept").read_bytes() == b"kept"
