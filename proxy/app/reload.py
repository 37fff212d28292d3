"""Settings that change while a replica runs, from reading them to the parts that go by them."""

import asyncio

from config import Change, Settings, change, read_password
from proxy.app.chain import Chain, Ground, hold_own_identity, tag_rules
from proxy.telemetry.logs import Level
from proxy.web.admit import Clients


class Reloader:
    """Brings fresh settings to the parts of a running replica, all at once or not at all."""

    def __init__(self, settings: Settings, ground: Ground, chain: Chain, clients: Clients) -> None:
        self.settings = settings
        """Those that hold now."""
        self._ground = ground
        self._chain = chain
        self._clients = clients

    async def reload(self, fresh: Settings) -> Change:
        """Take over what may change at run time; the password is read again.

        Raises: ConfigError: the password can't be read; nothing has changed.
        """
        made = change(self.settings, fresh)
        password = await asyncio.to_thread(read_password, made.settings)
        if made.settings.primary.username == fresh.primary.username:
            hold_own_identity(self._ground.callers.keeper, made.settings, password)
        self._apply(made.settings)
        self.settings = made.settings
        return made

    def _apply(self, settings: Settings) -> None:
        access, callers = settings.access, self._ground.callers
        callers.keeper.keep_for(access.ttl)
        for decisions in (callers.rights, callers.listings, callers.logins):
            decisions.hold_for(access.ttl, access.outage_grace)
        self._clients.forwarding.trust(access.trusted_proxies)
        self._clients.access.list_own(access.networks)
        self._chain.rules.become(tag_rules(settings))
        self._chain.pace.bytes_per_second = settings.replication.bandwidth
        self._ground.network.trust(settings)
        self._ground.telemetry.log.level = Level[settings.log.level.name]
