"""The registry itself: pulls only, open or with tokens."""

import re
from collections import Counter

from aiohttp import web

from loadtest.login import Login
from loadtest.tiny.content import Content, Stored
from loadtest.tiny.tokens import Tokens

_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")
_SERVICE = "tiny"


class TinyRegistry:
    """Serves *content*; with a *login*, only with tokens of its own token server.

    `counts` says what it was asked, by kind: ping, token, manifest, blob; `refused` are those of
    them that got 401, `blob_bytes` what left as blobs.
    """

    def __init__(self, content: Content, login: Login | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._content = content
        self._tokens = Tokens(login) if login else None

    def application(self) -> web.Application:
        """Give the routes."""
        application = web.Application()
        application.router.add_get("/v2/", self._ping)
        application.router.add_get("/v2/{name:.+}/manifests/{reference}", self._manifest)
        application.router.add_get("/v2/{name:.+}/blobs/{digest}", self._blob)
        application.router.add_get("/token", self._token)
        application.router.add_post("/token", self._token)
        application.router.add_get("/counts", self._show_counts)
        return application

    async def _show_counts(self, _request: web.Request) -> web.Response:
        return web.json_response(self.counts)

    async def _token(self, request: web.Request) -> web.Response:
        self.counts["token"] += 1
        form = {}
        if request.method == "POST":
            form = {key: str(value) for key, value in (await request.post()).items()}
        scope = form.get("scope") or " ".join(request.query.getall("scope", []))
        authorization = request.headers.get("Authorization", "")
        token = self._tokens and self._tokens.issue(authorization, form, scope)
        if not token:
            self.counts["refused"] += 1
            return _error(401, "UNAUTHORIZED")
        return web.json_response({"token": token, "access_token": token, "expires_in": 300})

    async def _ping(self, request: web.Request) -> web.Response:
        self.counts["ping"] += 1
        return self._refusal(request, "") or web.json_response({})

    async def _manifest(self, request: web.Request) -> web.StreamResponse:
        self.counts["manifest"] += 1
        name, reference = request.match_info["name"], request.match_info["reference"]
        digest = self._content.tags.get((name, reference), reference)
        if (refusal := self._refusal(request, name)) is not None:
            return refusal
        if (stored := self._content.stored.get(digest)) is None:
            return _error(404, "MANIFEST_UNKNOWN")
        return await self._send(request, digest, stored)

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        self.counts["blob"] += 1
        name, digest = request.match_info["name"], request.match_info["digest"]
        if (refusal := self._refusal(request, name)) is not None:
            return refusal
        if (stored := self._content.stored.get(digest)) is None:
            return _error(404, "BLOB_UNKNOWN")
        response = await self._send(request, digest, stored)
        self.counts["blob_bytes"] += response.content_length or 0
        return response

    def _refusal(self, request: web.Request, repository: str) -> web.Response | None:
        authorization = request.headers.get("Authorization", "")
        if self._tokens is None or self._tokens.may_pull(authorization, repository):
            return None
        self.counts["refused"] += 1
        challenge = f'Bearer realm="{request.scheme}://{request.host}/token",service="{_SERVICE}"'
        if repository:
            challenge += f',scope="repository:{repository}:pull"'
        refusal = _error(401, "UNAUTHORIZED")
        refusal.headers["WWW-Authenticate"] = challenge
        return refusal

    async def _send(self, request: web.Request, digest: str, stored: Stored) -> web.StreamResponse:
        start, end = _span(request.headers.get("Range", ""), stored.size_bytes)
        response = web.StreamResponse(
            headers={"Docker-Content-Digest": digest, "Accept-Ranges": "bytes"}
        )
        response.content_type = stored.media_type
        response.content_length = end - start
        if "Range" in request.headers:
            response.set_status(206)
            response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size_bytes}"
        await response.prepare(request)
        if request.method != "HEAD":
            for piece in stored.slices(start, end):
                await response.write(piece)
        await response.write_eof()
        return response


def _span(header: str, size_bytes: int) -> tuple[int, int]:
    """Give the half-open span that a Range header asks for; everything for what isn't one."""
    match = _RANGE.fullmatch(header)
    if match is None:
        return 0, size_bytes
    last = int(match[2]) if match[2] else size_bytes - 1
    return int(match[1]), min(last + 1, size_bytes)


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": code}]}, status=status)
