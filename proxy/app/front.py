"""The HTTP boundary over a chain, from the settings."""

from contextlib import AsyncExitStack

from config import OtherPaths, Settings
from proxy.app.chain import Chain, Ground
from proxy.app.names import OwnNames
from proxy.registry.access import Doorkeeper, Logins
from proxy.registry.clock import Clock
from proxy.registry.issuer import Issuer
from proxy.registry.listings import Listings
from proxy.registry.uploads import UploadCopies
from proxy.telemetry import Telemetry
from proxy.web.admit import Admission, Clients, Gate, HostNames
from proxy.web.challenge import Challenges
from proxy.web.forwarding import Forwarding
from proxy.web.listing import ListingRoute
from proxy.web.location import Locations
from proxy.web.ping import Pings
from proxy.web.pull import Pulls
from proxy.web.push import Pushes
from proxy.web.push_right import PushRights
from proxy.web.region_access import RegionAccess
from proxy.web.routes import Handlers, Paths, Routes
from proxy.web.send import Sender
from proxy.web.token import TokenRoute


def known_clients(settings: Settings, clock: Clock, telemetry: Telemetry) -> Clients:
    """Give who clients are and which may come in, as the `access` section says."""
    access = settings.access
    return Clients(
        Forwarding(access.trusted_proxies),
        RegionAccess(access.networks, telemetry.log, telemetry.metrics, clock.now),
    )


def build_gate(
    settings: Settings,
    ground: Ground,
    chain: Chain,
    issuer: Issuer,
    clients: Clients,
    stack: AsyncExitStack,
) -> Gate:
    """Give what every request goes through."""
    own_names = OwnNames(settings)
    names = HostNames(own_names.served)
    challenges = Challenges(ground.realm)
    keeper = ground.callers.keeper
    routes = Routes(
        names,
        Doorkeeper(keeper, issuer, ground.realm, ground.clock.wall),
        challenges,
        _handlers(settings, ground, chain, issuer, own_names, stack),
        _paths(settings),
    )
    admission = Admission(names, ground.network.via, clients, settings.listen.public_scheme)
    telemetry = ground.telemetry
    return Gate(admission, routes.answer, challenges.write, telemetry.log, telemetry.metrics)


def _paths(settings: Settings) -> Paths:
    is_redirected = settings.listen.other_paths is OtherPaths.REDIRECT
    return Paths(settings.primary.location_prefixes, settings.primary.url if is_redirected else "")


def _handlers(
    settings: Settings,
    ground: Ground,
    chain: Chain,
    issuer: Issuer,
    own_names: OwnNames,
    stack: AsyncExitStack,
) -> Handlers:
    logins = Logins(ground.callers)
    stack.push_async_callback(logins.close)
    metrics = ground.telemetry.metrics
    sender = Sender(chain.store.tree.executor, settings.listen.write_timeout, metrics)
    listings = Listings(
        chain.primary,
        ground.sidecar,
        ground.callers,
        chain.rules,
        ground.clock,
        own_names.is_own_host,
    )
    return Handlers(
        Pings(chain.primary, logins),
        Pulls(chain.puller, sender),
        ListingRoute(listings),
        _pushes(settings, ground, chain, own_names, stack),
        TokenRoute(ground.realm, ground.tokens, ground.callers, logins, issuer),
    )


def _pushes(
    settings: Settings, ground: Ground, chain: Chain, own_names: OwnNames, stack: AsyncExitStack
) -> Pushes:
    telemetry = ground.telemetry
    copies = UploadCopies(chain.store, settings.store.tee_budget, ground.clock, telemetry.metrics)
    stack.push_async_callback(copies.close)
    return Pushes(
        ground.network.link,
        Locations(own_names.is_own_authority, settings.primary.location_prefixes),
        copies,
        chain.writes,
        PushRights(ground.network.link, ground.callers.rights, ground.realm),
        settings.listen.write_timeout,
    )
