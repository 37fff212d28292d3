"""The way out: session, private link, trusted origins, from the settings."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from config import Settings
from proxy import __version__
from proxy.net.dns import DnsResolver, system_addresses
from proxy.net.link import PrivateLink
from proxy.net.origins import AddressPolicy, Origin, TrustedOrigins
from proxy.net.session import Limits, Session
from proxy.registry.realm_origins import RealmOrigins


@dataclass(frozen=True, slots=True)
class Network:
    """How this replica speaks to the primary and to what the primary points to."""

    session: Session
    link: PrivateLink
    realms: RealmOrigins
    trusted: TrustedOrigins
    storage: TrustedOrigins
    addresses: AddressPolicy
    via: str

    def trust(self, settings: Settings) -> None:
        """Let requests and credentials go where *settings* say, from the next request on."""
        self.trusted.become(map(Origin.of, settings.primary.trusted_origins))
        self.storage.become(map(Origin.of, settings.primary.storage_origins))
        self.addresses.become(_hosts(settings))


def open_network(
    settings: Settings, name: str, clock: Callable[[], float], stack: AsyncExitStack
) -> Network:
    """Open the way out; *name* is this replica's entry in Via."""
    primary = settings.primary
    origin = Origin.of(primary.url)
    resolver = DnsResolver(primary.nameservers) if primary.nameservers else None
    if resolver is not None:
        stack.push_async_callback(resolver.close)
    addresses = AddressPolicy(_hosts(settings))
    session = Session(
        addresses,
        _limits(settings),
        resolver=resolver,
        ca_file=str(primary.ca_file) if primary.ca_file else None,
        user_agent=f"proxima/{__version__}",
    )
    stack.push_async_callback(session.close)
    via = f"1.1 {name}"
    link = PrivateLink(
        session,
        origin,
        connect_to=tuple((each.host, each.port) for each in primary.connect_to),
        lookup=resolver.addresses if resolver else system_addresses,
        via=via,
        clock=clock,
    )
    trusted = TrustedOrigins(map(Origin.of, primary.trusted_origins), "primary.trusted_origins")
    storage = TrustedOrigins(map(Origin.of, primary.storage_origins), "primary.storage_origins")
    realms = RealmOrigins(origin, settings.listen.names, trusted)
    return Network(session, link, realms, trusted, storage, addresses, via)


def _hosts(settings: Settings) -> list[str]:
    """Give the hosts that the settings name, whose addresses may be any."""
    primary = settings.primary
    urls = (primary.url, *primary.trusted_origins, *primary.storage_origins)
    return [Origin.of(url).host for url in urls] + [each.host for each in primary.connect_to]


def _limits(settings: Settings) -> Limits:
    primary = settings.primary
    return Limits(
        connect_timeout=primary.connect_timeout,
        read_timeout=primary.read_timeout,
        minimum_rate=primary.minimum_rate,
        rate_window=primary.rate_window,
        max_connections=primary.max_connections,
    )
