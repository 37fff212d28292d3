"""The link's faults and counts over HTTP, for whoever runs it as a program of its own."""

from dataclasses import asdict

from aiohttp import web

from loadtest.link.relay import Link


class Control:
    """`GET /` gives the counts; `POST /cut`, `/refuse`, `/restore` act, and give them too."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._verbs = {"cut": link.cut, "refuse": link.refuse, "restore": link.restore}

    def application(self) -> web.Application:
        """Give the routes."""
        application = web.Application()
        application.router.add_get("/", self._show)
        application.router.add_post("/{verb}", self._act)
        return application

    async def _show(self, _request: web.Request) -> web.Response:
        return web.json_response(asdict(self._link.counts))

    async def _act(self, request: web.Request) -> web.Response:
        verb = self._verbs.get(request.match_info["verb"])
        if verb is None:
            raise web.HTTPNotFound(text=f"one of: {', '.join(self._verbs)}\n")
        verb()
        return await self._show(request)
