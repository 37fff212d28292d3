"""What concerns where clients go, put together: the catalogue, the probes, who is told."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from config import HubSettings, read_canary_password
from geo.location import DatabaseUnusable, Locations
from hub.api.geo_routes import RegionRoutes
from hub.clock import Clock
from hub.database import Database
from hub.geo.catalogue_file import CatalogueFile
from hub.geo.explaining import Explaining
from hub.geo.heard import Heard
from hub.geo.orders import Orders
from hub.geo.probe import Canary, Probe
from hub.geo.prober import Prober, Rhythm
from hub.geo.regions import Regions
from hub.geo.state import GeoState, Terms
from hub.instances.instances import Instances
from hub.login import Login, realms_of
from hub.telemetry import HubTelemetry
from proxy import __version__
from proxy.net.origins import AddressPolicy, Origin
from proxy.net.session import Limits, Session
from proxy.oci.reference import split_reference
from proxy.serving.standing import Work
from proxy.telemetry.region_metrics import RegionMetrics, RegionNumbers

MAX_CONNECTIONS = 128
"""More than there are probes at once: none waits for a connection."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What they stand on."""

    settings: HubSettings
    database: Database
    clock: Clock
    telemetry: HubTelemetry


class Geographic:
    """Those parts of a hub that has a catalogue. `open` them, do their `works`, then `drain`."""

    def __init__(
        self, ground: Ground, catalogue: CatalogueFile, orders: Orders, instances: Instances
    ) -> None:
        settings, database, telemetry = ground.settings, ground.database, ground.telemetry
        self._settings = settings
        self._telemetry = telemetry
        self._clock = ground.clock
        self._state = GeoState(terms_of(settings))
        self._regions = Regions(catalogue, orders, self._state, database, instances, telemetry)
        self._locations = Locations(settings.geo.database)
        self._location_note = ""
        self._policy = AddressPolicy(())
        self._heard = Heard(instances, settings.geo.probe_every, ground.clock)
        self._explaining = Explaining(
            self._regions,
            terms_of(settings),
            self._locations.place_of,
            settings.primary.region,
            database,
        )

    async def open(self, stack: AsyncExitStack) -> None:
        """Read what there is.

        Raises: ConfigError, ValueError, OSError: the password, the catalogue, the database of
        locations or the certificates are of no use. DatabaseUnavailable.
        """
        geo = self._settings.geo
        try:
            await asyncio.to_thread(self._locations.open)
        except DatabaseUnusable as exc:
            raise ValueError("geo.database can't be used") from exc
        session = Session(
            self._policy,
            Limits(geo.probe_every, geo.probe_every, max_connections=MAX_CONNECTIONS),
            ca_file=str(geo.ca_file) if geo.ca_file else None,
            user_agent=f"proxima-hub/{__version__}",
        )
        stack.push_async_callback(session.close)
        primary = self._settings.primary
        realms = realms_of(Origin.of(primary.url), primary.trusted_origins)
        self._prober = Prober(
            Probe(session, realms, _canary_of(self._settings)),
            Rhythm(geo.probe_every, geo.fall, geo.rise),
            self._heard.hear,
            self._regions.turned,
            self._clock,
        )
        await self._regions.open(self._prober, self._allow)
        self._watch()

    def routes(self) -> RegionRoutes:
        """Give what answers for them."""
        return RegionRoutes(
            self._regions, self._state, self._explaining, self.note, self._telemetry.log
        )

    async def known_regions(self) -> tuple[str, ...]:
        """Give the regions of the catalogue."""
        return tuple(each.name for each in self._regions.catalogue.regions)

    def note(self) -> str:
        """Say why a file as it is now isn't in use; empty: all are."""
        return "\n".join(filter(None, (self._regions.note, self._location_note)))

    def drain(self) -> None:
        """Let those go who wait."""
        self._state.drain()

    def _allow(self) -> None:
        """Let probes go to the regions of the catalogue, and nowhere else that is this machine."""
        primary = self._settings.primary
        hosts = [Origin.of(url).host for url in (primary.url, *primary.trusted_origins)]
        for region in self._regions.catalogue.regions:
            hosts += map(str, region.addresses)
            if region.ready_url:
                hosts.append(Origin.of(region.ready_url).host)
        self._policy.become(hosts)

    # --- the course of time -----------------------------------------------------------------------

    def works(self) -> Mapping[str, Work]:
        """Give what goes on for as long as the hub runs."""
        return {"probes": self._prober.run, "regions": self._follow}

    async def reload(self) -> None:
        """Read the catalogue and the database of locations again."""
        await self._regions.reload()
        await self._look_at_locations()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._settings.geo.reread)
            await self._regions.follow()
            await self._look_at_locations()

    async def _look_at_locations(self) -> None:
        note = await asyncio.to_thread(self._locations.reload_if_changed)
        if note and note != self._location_note:
            self._telemetry.log.error("locations.refused", error=note)
        self._location_note = note or ""

    # --- its numbers ------------------------------------------------------------------------------

    def _watch(self) -> None:
        metrics = self._telemetry.metrics
        self._metrics = RegionMetrics(metrics, self._numbers)
        self._regions.on_turn(self._metrics.turns.inc)
        metrics.watch(
            "hub_regions_refused",
            "1: the catalogue or the database of locations is wrong as it is, an older one in use.",
            lambda: float(bool(self.note())),
        )
        metrics.watch(
            "hub_geo_waiting",
            "Requests that wait for news of the regions.",
            lambda: len(self._state),
        )

    def _numbers(self) -> Mapping[str, RegionNumbers]:
        numbers: dict[str, RegionNumbers] = {}
        for region in self._regions.catalogue.regions:
            health = self._regions.health_of(region.name)
            numbers[region.name] = RegionNumbers(
                health.is_up,
                self._regions.is_drained(region),
                health.is_excused,
                max((each.seconds for each in health.checks), default=None),
            )
        return numbers


def terms_of(settings: HubSettings) -> Terms:
    """Give what the settings say of answers."""
    return Terms(_shared_origin(settings).host, settings.geo.ttl, settings.geo.spread)


def _shared_origin(settings: HubSettings) -> Origin:
    """Give the shared domain as clients have it at a region."""
    primary, scheme = settings.primary, "https" if settings.geo.tls else "http"
    return Origin.of(f"{scheme}://{primary.domain or Origin.of(primary.url).authority}")


def _canary_of(settings: HubSettings) -> Canary | None:
    """Give what probes pull; None: nothing. Raises: ConfigError: the password can't be read."""
    geo = settings.geo
    if not geo.canary:
        return None
    repository, reference = split_reference(geo.canary)
    password = read_canary_password(settings)
    login = Login(geo.canary_username, password.reveal() if password else "")
    return Canary(_shared_origin(settings), geo.port, repository, reference, login)
