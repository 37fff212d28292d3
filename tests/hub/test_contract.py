"""What a replica says to the hub, in the hub's own words: the two import nothing of each other."""

import pytest

from hub.history.forms import Entry, EntryState, Report, Trigger, What
from hub.instances.forms import BackfillProgress, Load, Status
from hub.instances.state import Reported
from hub.wire.reading import read
from proxy.cli.hub_parser import STATES
from proxy.oci.artifact import ArtifactKind
from proxy.replication import work
from proxy.replication.backfill import BackfillStatus
from proxy.replication.history import RUNNING
from proxy.replication.history import Entry as Told
from proxy.replication.load import Load as LoadTold
from proxy.replication.reporting import MAX_ENTRIES, wire_entry
from proxy.replication.status import Phase
from proxy.replication.status import Status as StatusTold
from proxy.telemetry.labels import CopyEnd

DIGEST = "sha256:" + "c" * 64


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        (Phase, Reported),
        (CopyEnd, EntryState),
        ((RUNNING,), EntryState),
        (work.Trigger, Trigger),
        (ArtifactKind, What),
        (STATES, EntryState),
    ],
)
def test_every_word_of_a_replica_is_known_to_the_hub(said, understood):
    """States, triggers and kinds of a replica, and of the command line, are words of the hub."""
    assert {str(each) for each in said} <= {each.value for each in understood}


def test_a_status_is_read_as_it_was_meant():
    """All that a replica says of itself has its field at the hub."""
    backfill = BackfillStatus(False, 3, 10, 500, 2_000, 60.0)
    cursor = f"{'0' * 16}:7"
    told = StatusTold(Phase.BACKFILLING, cursor, 4.25, 3, 1_000, 7.5, 0, backfill, 1_790_000_000.0)
    load = LoadTold(3, 1_024.5)
    status = read(Status, {**told.as_document(), "load": load.as_document()})
    assert status.load == Load(3, 1_024.5)
    assert (status.state, status.cursor, status.lag_seconds, status.queue) == (
        Reported.BACKFILLING,
        told.cursor,
        4.25,
        3,
    )
    assert (status.bytes_behind, status.eta_seconds, status.at) == (1_000, 7.5, told.at)
    assert status.backfill == BackfillProgress(3, 10, 500, 2_000)


@pytest.mark.parametrize("end", [*CopyEnd, None])
@pytest.mark.parametrize("kind", [*work.Kind, *ArtifactKind, "deletion"])
def test_an_entry_is_read_as_it_was_meant(end, kind):
    """Every entry that a replica may make is one of the hub's log."""
    for reference, named in {
        "1.0": ("1.0", None),
        DIGEST: (None, DIGEST),
        "": (None, None),
    }.items():
        told = Told("id-1", "shop/api", reference, str(kind), "event", 1.0, 2.0, 1, end, error="x")
        entry = read(Entry, wire_entry(told))
        assert entry.state == (end or EntryState.RUNNING)
        assert (entry.tag, entry.digest) == named
        assert (entry.event_at, entry.started_at, entry.attempts) == (1.0, 2.0, 1)


def test_a_report_holds_as_much_as_a_replica_sends_at_once():
    """The largest report of a replica is one that the hub reads."""
    entries = [
        wire_entry(Told(f"id-{number}", "shop/api", "1.0", "image", "event", 1.0, 2.0, 1))
        for number in range(MAX_ENTRIES)
    ]
    nothing = BackfillStatus(True, 0, 0, 0, None, None)
    status = StatusTold(Phase.RUNNING, None, 0.0, 0, 0, None, 0, nothing, 1.0).as_document()
    report = read(Report, {"status": status, "entries": entries})
    assert len(report.entries) == MAX_ENTRIES
