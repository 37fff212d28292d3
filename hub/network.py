"""The hub's way out, from the settings: to the primary alone, for the sentinel."""

from contextlib import AsyncExitStack

from config import HubSettings, read_sentinel_password
from hub.clock import Clock
from hub.login import Login, realms_of
from hub.sentinel.pusher import Pusher
from proxy import __version__
from proxy.net.dns import system_addresses
from proxy.net.link import PrivateLink
from proxy.net.origins import AddressPolicy, Origin
from proxy.net.session import Limits, Session

CONNECTIONS = 4
READ_SECONDS = 10.0


def open_pusher(settings: HubSettings, clock: Clock, stack: AsyncExitStack) -> Pusher:
    """Give what pushes sentinels. Raises: ConfigError: the password can't be read."""
    primary, sentinel = settings.primary, settings.sentinel
    password = read_sentinel_password(settings)
    origin = Origin.of(primary.url)
    hosts = [Origin.of(url).host for url in (primary.url, *primary.trusted_origins)]
    session = Session(
        AddressPolicy([*hosts, *(each.host for each in primary.connect_to)]),
        Limits(read_timeout=READ_SECONDS, max_connections=CONNECTIONS),
        ca_file=str(primary.ca_file) if primary.ca_file else None,
        user_agent=f"proxima-hub/{__version__}",
    )
    stack.push_async_callback(session.close)
    link = PrivateLink(
        session,
        origin,
        connect_to=tuple((each.host, each.port) for each in primary.connect_to),
        lookup=system_addresses,
        via="1.1 proxima-hub",
        clock=clock.now,
    )
    login = Login(sentinel.username, password.reveal() if password else "")
    realms = realms_of(origin, primary.trusted_origins)
    return Pusher(link, session, realms, sentinel.repository, login)
