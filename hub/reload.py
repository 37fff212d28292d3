"""Settings that change while a hub runs, from reading them to the parts that go by them."""

import asyncio
from dataclasses import dataclass

from config import Change, HubSecrets, HubSettings, change, hub_secrets
from hub.lease import Leases
from hub.log.log import Limits, Log
from hub.regional import Regional
from hub.subscription.events import Subscriptions
from hub.subscription.feed import Feed
from hub.telemetry import HubTelemetry
from hub.web.bearers import Operators
from proxy.events.authenticity import Authenticity
from proxy.telemetry.logs import Level

TOLD_TO_REPLICAS = "replication."


@dataclass(frozen=True, slots=True)
class Parts:
    """Those that settings change while they run."""

    senders: Authenticity
    operators: Operators
    dns_servers: Operators
    log: Log
    feed: Feed
    subscriptions: Subscriptions
    leases: Leases
    regional: Regional
    telemetry: HubTelemetry


class Reloader:
    """Brings fresh settings to the parts of a running hub, all at once or not at all."""

    def __init__(self, settings: HubSettings, parts: Parts) -> None:
        self.settings = settings
        """Those that hold now."""
        self._parts = parts

    async def reload(self, fresh: HubSettings) -> Change[HubSettings]:
        """Take over what may change at run time; secrets and tokens are read again.

        Raises: ConfigError: one of them can't be read, or could be guessed; nothing has changed.
        """
        made = change(self.settings, fresh)
        secrets = await asyncio.to_thread(hub_secrets, made.settings)
        self._apply(made.settings, secrets)
        self.settings = made.settings
        if any(key.startswith(TOLD_TO_REPLICAS) for key in made.changed):
            self._parts.feed.tell_settings()
        return made

    def _apply(self, settings: HubSettings, secrets: HubSecrets) -> None:
        parts = self._parts
        parts.senders.trust(each.reveal() for each in secrets.senders)
        parts.operators.trust(each.reveal() for each in secrets.operators)
        parts.dns_servers.trust(each.reveal() for each in secrets.readers_of_regions)
        parts.log.limits = log_limits(settings)
        parts.subscriptions.max_streams = settings.subscription.max_streams
        parts.leases.seconds = settings.lease.seconds
        parts.regional.become(settings)
        parts.telemetry.log.level = Level[settings.log.level.name]


def log_limits(settings: HubSettings) -> Limits:
    """Give what is kept of the event log."""
    events = settings.events
    return Limits(events.keep, events.max_events, events.dedupe_within)
