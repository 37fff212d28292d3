"""What is asked about regions: by operators, and by DNS servers."""

import re
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from hub.api.answers import answer, read_query_as
from hub.geo.errors import NoCatalogue, UnknownRegion
from hub.geo.explaining import Explaining
from hub.geo.forms import (
    ExplainQuery,
    GeoQuery,
    LinkedNetwork,
    NetworkList,
    NetworksQuery,
    NetworkWish,
    RegionList,
)
from hub.geo.networks import read_network
from hub.geo.orders import Orders
from hub.geo.records import Linked
from hub.geo.regions import Regions
from hub.geo.state import GeoState
from hub.instances.instances import Instances
from hub.subscription.feed import Feed
from hub.web.application import route
from hub.web.bearers import Handler, Operators
from hub.web.body import read_object
from hub.wire.reading import read
from proxy.telemetry.logs import EventLog

_REGION = "[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_NETWORK = "[0-9A-Fa-f:.]{2,45}(?:_|%2F)[0-9]{1,3}"
NAMED = f"/v1/regions/{{name:{_REGION}}}"
LINK = f"/v1/networks/{{region:{_REGION}}}/{{network:{_NETWORK}}}"
_SLASH = re.compile(r"_|%2F")


class NetworkRoutes:
    """Networks linked to regions: with a catalogue or without one."""

    def __init__(
        self,
        orders: Orders,
        known_regions: Callable[[], Awaitable[Sequence[str]]],
        instances: Instances,
        feed: Feed,
        log: EventLog,
    ) -> None:
        self._orders = orders
        self._known_regions = known_regions
        self._instances = instances
        self._feed = feed
        self._log = log

    def routes(self, operators: Operators) -> list[web.RouteDef]:
        """Give what it answers."""
        return [
            route("GET", "/v1/networks", operators.guarding(self._list)),
            route("POST", "/v1/networks", operators.guarding(self._link)),
            route("DELETE", LINK, operators.guarding(self._unlink)),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        wanted = read_query_as(NetworksQuery, request).region
        found = (each for each in self._orders.everything if wanted in (None, each.region))
        return answer(NetworkList(tuple(map(_view, found))))

    async def _link(self, request: web.Request) -> web.Response:
        wish = read(NetworkWish, await read_object(request))
        network = read_network(wish.network)
        known = await self._known_regions()
        if wish.region not in known:
            raise UnknownRegion(wish.region, known)
        linked = await self._orders.link(wish.region, network)
        await self._tell(wish.region)
        self._note(request, "network.linked", wish.region, str(network))
        response = answer(_view(linked), 201)
        place = f"/v1/networks/{wish.region}/{str(network).replace('/', '_')}"
        response.headers["Location"] = place
        return response

    async def _unlink(self, request: web.Request) -> web.Response:
        region = request.match_info["region"]
        network = read_network(_SLASH.sub("/", request.match_info["network"]))
        await self._orders.unlink(region, network)
        await self._tell(region)
        self._note(request, "network.unlinked", region, str(network))
        return web.Response(status=204)

    async def _tell(self, region: str) -> None:
        """Let the region's replica ask what has changed for it."""
        for each in await self._instances.list():
            if each.region == region:
                self._feed.tell_settings(each.id)

    def _note(self, request: web.Request, event: str, region: str, network: str) -> None:
        self._log.info(event, region=region, network=network, client=request.remote or "")


class RegionRoutes:
    """Regions, where clients go, and why. Without a catalogue all of it is answered so."""

    def __init__(
        self,
        regions: Regions,
        state: GeoState,
        explaining: Explaining,
        notes: Callable[[], str],
        log: EventLog,
    ) -> None:
        self._regions = regions
        self._state = state
        self._explaining = explaining
        self._notes = notes
        self._log = log

    async def geo(self, request: web.Request) -> web.Response:
        """Answer at once, or once there is another revision."""
        query = read_query_as(GeoQuery, request)
        told = await self._state.wait(query.after, query.timeout, lambda: request.transport is None)
        return web.Response(body=told.body, content_type="application/json")

    async def list(self, _request: web.Request) -> web.Response:
        return answer(RegionList(await self._regions.list(), self._notes()))

    async def drain(self, request: web.Request) -> web.Response:
        drained = await self._regions.drain(request.match_info["name"])
        self._log.info("region.drained", region=drained.name, client=request.remote or "")
        return answer(drained)

    async def resume(self, request: web.Request) -> web.Response:
        resumed = await self._regions.resume(request.match_info["name"])
        self._log.info("region.resumed", region=resumed.name, client=request.remote or "")
        return answer(resumed)

    async def explain(self, request: web.Request) -> web.Response:
        return answer(await self._explaining.explain(read_query_as(ExplainQuery, request)))


def region_routes(
    found: RegionRoutes | None, operators: Operators, dns_servers: Operators
) -> list[web.RouteDef]:
    """Give the routes; without a catalogue they say that there is none."""

    def guarded(who: Operators, handler: Handler | None) -> Handler:
        return who.guarding(handler or _no_catalogue)

    return [
        route("GET", "/v1/geo", guarded(dns_servers, found.geo if found else None)),
        route("GET", "/v1/regions", guarded(operators, found.list if found else None)),
        route("POST", f"{NAMED}/drain", guarded(operators, found.drain if found else None)),
        route("POST", f"{NAMED}/resume", guarded(operators, found.resume if found else None)),
        route("GET", "/v1/explain", guarded(operators, found.explain if found else None)),
    ]


async def _no_catalogue(_request: web.Request) -> web.StreamResponse:
    raise NoCatalogue


def _view(linked: Linked) -> LinkedNetwork:
    return LinkedNetwork(linked.region, str(linked.network), linked.linked_at)
