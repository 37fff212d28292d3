"""The verbs about pins on the control socket."""

from aiohttp import web

from proxy.oci.errors import RegistryError
from proxy.registry.pins import Pin, Pins, as_document


class PinVerbs:
    """Answers `pin`, `unpin` and `pins`."""

    def __init__(self, pins: Pins) -> None:
        self._pins = pins

    def routes(self) -> list[web.RouteDef]:
        """Give what the control socket answers with this."""
        return [
            web.get("/pins", self._list, allow_head=False),
            web.put("/pins", self._set),
            web.delete("/pins", self._remove),
        ]

    async def _list(self, _: web.Request) -> web.Response:
        try:
            pins = await self._pins.all()
        except RegistryError as exc:
            return _error(exc)
        return web.json_response({"pins": [as_document(*each) for each in pins.items()]})

    async def _set(self, request: web.Request) -> web.Response:
        try:
            pin = Pin.parse(request.query.get("reference", ""))
            held = await self._pins.add(pin)
        except RegistryError as exc:
            return _error(exc)
        return web.json_response(as_document(pin, held))

    async def _remove(self, request: web.Request) -> web.Response:
        try:
            pin = Pin.parse(request.query.get("reference", ""))
            was_there = await self._pins.remove(pin)
        except RegistryError as exc:
            return _error(exc)
        if not was_there:
            return web.json_response({"error": "there is no such pin"}, status=404)
        return web.json_response({"pin": str(pin)})


def _error(error: RegistryError) -> web.Response:
    return web.json_response({"error": error.message}, status=error.status)
