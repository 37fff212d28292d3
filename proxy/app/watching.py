"""What a running replica shows of what its parts keep."""

from proxy.app.chain import Chain, Ground
from proxy.net.breakers import BreakerState
from proxy.telemetry import Metrics


def watch(metrics: Metrics, chain: Chain, ground: Ground) -> None:
    """Show it for as long as they live."""
    link = ground.network.link
    fill = chain.fill
    metrics.watch("flights", "Fills under way.", lambda: fill.flights)
    metrics.watch("followers", "Clients that follow a fill.", lambda: fill.followers)
    rights = ground.callers.rights
    metrics.watch("rights", "Decisions remembered.", lambda: len(rights))
    usage, room = ground.capacity.usage, ground.store.room
    metrics.watch("store_bytes", "Bytes of contents kept.", lambda: usage.stored_bytes)
    metrics.watch("store_contents", "Contents kept.", lambda: usage.stored_contents)
    metrics.watch("claimed_bytes", "Bytes claimed by fills.", lambda: room.claimed_bytes)
    metrics.watch("capacity_bytes", "Limit; 0: none.", lambda: room.limits.capacity_bytes)
    metrics.watch("refused_claims", "Contents there was no room for.", lambda: room.refusals)
    health = ground.store.tree.health
    metrics.watch("store_read_only", "1: its disk fails.", lambda: float(health.is_sick))
    sidecar = ground.sidecar
    metrics.watch("sidecar_failures", "Sidecar calls that failed.", lambda: sidecar.failures)

    def breakers() -> dict[str, float]:
        states = list(link.breaker_states().values())
        return {state: states.count(state) for state in BreakerState}

    metrics.watch_by("breakers", "Addresses of the primary by breaker.", "state", breakers)
