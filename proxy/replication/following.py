"""A replica that follows a hub: marks, lease, intake and subscription, put together."""

import asyncio
from collections.abc import Awaitable, Callable

from proxy.net.hub import HubClient
from proxy.registry.clock import Clock
from proxy.replication.assurance import MarkedTags
from proxy.replication.cursor import Journal
from proxy.replication.intake import Intake
from proxy.replication.lease import Lease
from proxy.replication.marks import Marks
from proxy.replication.pace import Pace
from proxy.replication.subscription import Owner, Subscription
from proxy.replication.told import Told
from proxy.telemetry.logs import EventLog


class Following:
    """What keeps a replica in step with its hub. `assurance` is what tags go by.

    Add the journal's marks before the first pull is answered; `run` is a task of the owner's.
    """

    def __init__(
        self,
        hub: HubClient,
        clock: Clock,
        log: EventLog,
        pace: Pace | None = None,
    ) -> None:
        self.hub = hub
        self.told = Told()
        """What the hub says of us; whoever asks it lets this hear the answer."""
        self._clock = clock
        self._log = log
        self._pace = pace
        self.marks = Marks(clock)
        self.lease = Lease(hub, clock, log, pace)
        self.assurance = MarkedTags(self.marks, self.lease.is_live)
        self.subscription: Subscription | None = None

    @property
    def is_refused(self) -> bool:
        """Say whether the hub doesn't want this replica any more."""
        return self.subscription is not None and self.subscription.is_refused

    async def run(
        self,
        journal: Journal,
        on_events: Callable[[], Awaitable[None]],
        on_settings: Callable[[], None],
    ) -> None:
        """Follow for ever; *on_events* is called behind events, once their marks are made.

        Whom the hub refuses it tells nothing more: what it granted ends at once.
        """
        owner = Owner(on_settings, on_refused=lambda exc: self.lease.end(exc.message))
        intake = Intake(journal, self.marks, self.lease, on_events, self._log, self.told)
        is_again = self.subscription is not None
        self.subscription = Subscription(
            self.hub, intake, self._clock, self._log, owner, self._pace
        )
        self.subscription.may_have_missed = is_again
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.subscription.run())
            tasks.create_task(self.lease.run())
