"""What events told of: from when on an answer of the primary counts."""

import pytest

from proxy.events.event import (
    BlobPushed,
    Event,
    ManifestDeleted,
    ManifestPushed,
    RepositoryDeleted,
    TagDeleted,
)
from proxy.oci.digest import Digest
from proxy.oci.reference import Repository, Tag
from proxy.replication.cursor import Mark
from proxy.replication.marks import Marks, mark_of
from tests.registry_store.ground import A, B, ManualClock

V1, V2 = Tag("v1"), Tag("v2")
DIGEST = Digest.of(b"content")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (ManifestPushed(A, V1, DIGEST), Mark(A, V1)),
        (ManifestPushed(A, digest=DIGEST), None),
        (BlobPushed(A, DIGEST), None),
        (TagDeleted(A, V1), Mark(A, V1)),
        (ManifestDeleted(A, DIGEST, V1), Mark(A)),
        (RepositoryDeleted(A), Mark(A)),
    ],
)
def test_what_an_event_says_of_tags(event: Event, expected: Mark | None) -> None:
    """A tag, any tag of the repository, or none."""
    assert mark_of(event) == expected


@pytest.mark.parametrize("mark", [Mark(A, V1), Mark(A)])
def test_what_was_asked_before_a_mark_doesnt_count(clock: ManualClock, mark: Mark) -> None:
    """Settled 12: an answer counts only if it was asked for after the event was told of."""
    marks = Marks(clock)
    assert not marks.is_dirty(A, V1, float("-inf"))
    clock.pass_(10)
    marks.add([mark])
    told_at = clock.now()
    assert marks.is_dirty(A, V1, told_at)
    assert not marks.is_dirty(A, V1, told_at + 0.001)
    assert marks.is_dirty(A, V2, told_at) is (mark.tag is None)
    assert not marks.is_dirty(B, V1, told_at)


def test_a_later_mark_counts(clock: ManualClock) -> None:
    """A second event makes dirty what was checked after the first."""
    marks = Marks(clock)
    marks.add([Mark(A, V1)])
    clock.pass_(1)
    checked_at = clock.now()
    assert not marks.is_dirty(A, V1, checked_at)
    clock.pass_(1)
    marks.add([Mark(A, V1)])
    assert marks.is_dirty(A, V1, checked_at)


def test_a_gap_leaves_nothing_covered(clock: ManualClock) -> None:
    """After a start, and after a gap in the log, only what is asked for from then on is covered;
    what was marked before stays marked.
    """
    marks = Marks(clock)
    assert not marks.covers(clock.now())
    clock.pass_(1)
    assert marks.covers(clock.now())
    marks.add([Mark(A, V1)])
    marks.start_over()
    assert not marks.covers(clock.now())
    assert marks.is_dirty(A, V1, clock.now())
    clock.pass_(1)
    assert marks.covers(clock.now())


def test_marks_are_bounded(clock: ManualClock) -> None:
    """Where more is marked than is remembered, everything is marked; nothing is forgotten."""
    marks = Marks(clock, max_marks=10)
    many = [Mark(Repository(f"team/n{number}"), V1) for number in range(25)]
    for each in many:
        marks.add([each])
        assert len(marks) <= 10
    asked_at = clock.now()
    assert all(marks.is_dirty(each.repository, V1, asked_at) for each in many)
    assert marks.is_dirty(B, V1, asked_at)
    clock.pass_(1)
    assert not marks.is_dirty(B, V1, clock.now())
