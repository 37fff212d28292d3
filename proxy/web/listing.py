"""Listings: tags, referrers, the catalogue."""

from dataclasses import replace

from aiohttp import web

from proxy.oci.request import Listing
from proxy.registry.access import Presented
from proxy.registry.listings import Listings
from proxy.web.exchange import Exchange
from proxy.web.respond import BASE_HEADERS, JSON, stale_headers


class ListingRoute:
    """Answers GET of listings."""

    def __init__(self, listings: Listings) -> None:
        self._listings = listings

    async def answer(
        self, exchange: Exchange, listing: Listing, presented: Presented
    ) -> web.StreamResponse:
        """Answer one listing as the caller who presented itself."""
        exchange.event = "listing.served"
        answer = await self._listings.get(replace(listing, caller=presented.caller))
        headers = {**BASE_HEADERS, "X-Request-Id": exchange.request_id, "Content-Type": JSON}
        headers.update(answer.headers)
        if answer.stale_seconds is not None:
            exchange.stale_seconds = answer.stale_seconds
            headers.update(stale_headers(answer.stale_seconds))
        exchange.sent_bytes = len(answer.body)
        return web.Response(status=200, headers=headers, body=answer.body)
