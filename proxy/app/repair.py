"""What looks for what no news told of, from the settings: backfill and reconcile."""

from dataclasses import dataclass

from config import Backfill as BackfillPolicy
from config import Settings
from proxy.app.chain import Chain, Ground
from proxy.oci.caller import REPLICA
from proxy.oci.reference import Repository
from proxy.registry.clock import Clock
from proxy.replication.asking import Asking
from proxy.replication.backfill import Backfill, Policy
from proxy.replication.catalogue import Catalogue, There
from proxy.replication.comparing import Known
from proxy.replication.journal import Journal
from proxy.replication.ledger import Ledger
from proxy.replication.newest import Newest
from proxy.replication.plan import Scope
from proxy.replication.reconcile import Reconciler, ReconcileRules
from proxy.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Repair:
    """Both of them, open."""

    backfill: Backfill
    reconciler: Reconciler

    def become(self, settings: Settings) -> None:
        """Take over what may change at run time."""
        self.reconciler.become(_rules(settings))


def primary_there(settings: Settings, chain: Chain, clock: Clock, scope: Scope) -> There:
    """Give the primary as it is asked what it has."""
    asking = Asking(settings.replication.reconcile_rate, clock.now)
    watched = [Repository.parse(name) for name in settings.replication.watch]
    catalogue = Catalogue(chain.primary, REPLICA, asking, chain.store.tree, scope, watched)
    return There(chain.primary, chain.fetcher, catalogue, asking, REPLICA)


async def build_repair(
    settings: Settings, chain: Chain, ground: Ground, there: There, journal: Journal, scope: Scope
) -> Repair:
    """Put it together.

    Raises: StoreUnavailable: how far it was can't be read.
    """
    clock, telemetry = ground.clock, ground.telemetry
    ledger = Ledger(ground.sidecar)
    newest = Newest(chain.fetcher, REPLICA, there.asking)
    backfill = Backfill(ledger, there.catalogue, newest, journal, scope, _policy(settings))
    backfill.is_full = lambda: chain.store.room.is_full
    await backfill.open()
    usage = ground.capacity.usage
    known = Known(chain.store.tree, usage, chain.book, journal, ledger, backfill, scope)
    rules = _rules(settings)
    reconciler = Reconciler(there, known, rules, ground.sidecar, clock, telemetry)
    await reconciler.open()
    _watch(telemetry.metrics, backfill, reconciler, clock)
    return Repair(backfill, reconciler)


def _rules(settings: Settings) -> ReconcileRules:
    wanted = settings.replication
    return ReconcileRules(wanted.reconcile_every, wanted.allow_mass_delete)


def _policy(settings: Settings) -> Policy:
    match settings.replication.backfill:
        case BackfillPolicy.ALL:
            return Policy(None)
        case BackfillPolicy.NEWEST:
            return Policy(settings.replication.backfill_newest)
        case BackfillPolicy.NONE:
            return Policy(0)


def _watch(metrics: Metrics, backfill: Backfill, reconciler: Reconciler, clock: Clock) -> None:
    metrics.watch("backfill_tags", "Tags to backfill.", lambda: backfill.status.total)
    metrics.watch("backfill_done_tags", "Tags backfilled.", lambda: backfill.status.done)
    metrics.watch(
        "backfill_bytes", "Bytes brought by the backfill.", lambda: backfill.status.bytes_done
    )
    metrics.watch(
        "reconcile_age_seconds",
        "Time since a comparison began that ended well; infinite: never.",
        lambda: clock.wall() - reconciler.proven_at,
    )
