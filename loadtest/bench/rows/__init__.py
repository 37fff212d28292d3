"""The rows, in the order of the table."""

from loadtest.bench.measurement import Row
from loadtest.bench.rows.arrival import Arrival
from loadtest.bench.rows.burst import Burst
from loadtest.bench.rows.busy import Busy
from loadtest.bench.rows.capacity import Eviction, HitRate
from loadtest.bench.rows.cold import ColdBlob
from loadtest.bench.rows.cpu import Processor
from loadtest.bench.rows.crowd import Crowd16, Crowd1000
from loadtest.bench.rows.dns import Questions
from loadtest.bench.rows.failover import Failover
from loadtest.bench.rows.hub import HubIntake, HubStreams
from loadtest.bench.rows.joined import Joined
from loadtest.bench.rows.lanes import SharedLink
from loadtest.bench.rows.large import LargeBlob
from loadtest.bench.rows.lease import Lease
from loadtest.bench.rows.locating import Locating
from loadtest.bench.rows.memory import Memory
from loadtest.bench.rows.push import PushedBack
from loadtest.bench.rows.reconcile import Reconcile
from loadtest.bench.rows.small import SMALL_BLOB, WARM_MANIFEST
from loadtest.bench.rows.staleness import Staleness
from loadtest.bench.rows.start import Start
from loadtest.bench.rows.tokens import Tokens
from loadtest.bench.rows.uplink import Uplink
from loadtest.bench.rows.verify import Verify

ROWS: tuple[Row, ...] = (
    WARM_MANIFEST,
    SMALL_BLOB,
    LargeBlob(),
    ColdBlob(),
    SharedLink(),
    Crowd16(),
    Crowd1000(),
    Tokens(),
    Busy(),
    PushedBack(),
    HitRate(),
    Eviction(),
    Memory(),
    Verify(),
    Processor(),
    Start(),
    Arrival(),
    Joined(),
    Burst(),
    Lease(),
    Staleness(),
    Uplink(),
    HubIntake(),
    HubStreams(),
    Reconcile(),
    Failover(),
    Locating(),
    Questions(),
)
