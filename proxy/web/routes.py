"""Stations 2 and 3: a raw path becomes a value, a header becomes a caller; then on to the route.

The table is total: what isn't in it isn't served.
"""

from dataclasses import dataclass
from functools import lru_cache

from aiohttp import web

from proxy.oci.errors import NameUnknown, NotServedHere, RegistryError, Unauthorized
from proxy.oci.grammar import Parsed, parse
from proxy.oci.reference import Repository
from proxy.oci.request import (
    Action,
    BlobDelete,
    BlobPull,
    Catalog,
    ManifestDelete,
    ManifestPull,
    ManifestPut,
    Ping,
    Referrers,
    Request,
    TagList,
    UploadStart,
    UploadStep,
    UploadVerb,
)
from proxy.registry.access import Doorkeeper, Presented
from proxy.telemetry.labels import Kind
from proxy.web.admit import BODILESS, HostNames
from proxy.web.challenge import Challenges
from proxy.web.exchange import Exchange, Subject
from proxy.web.listing import ListingRoute
from proxy.web.ping import Pings
from proxy.web.pull import Pulls
from proxy.web.push import Pushes
from proxy.web.token import TokenRoute

REMEMBERED_PATHS = 8192

_KINDS: dict[type[Request], Kind] = {
    Ping: Kind.PING,
    ManifestPull: Kind.MANIFEST,
    BlobPull: Kind.BLOB,
    TagList: Kind.TAGS,
    Referrers: Kind.REFERRERS,
    Catalog: Kind.CATALOG,
    ManifestPut: Kind.PUSH,
    ManifestDelete: Kind.PUSH,
    BlobDelete: Kind.PUSH,
    UploadStart: Kind.PUSH,
    UploadStep: Kind.PUSH,
}


@dataclass(frozen=True, slots=True)
class Handlers:
    """What answers each kind of request."""

    pings: Pings
    pulls: Pulls
    listings: ListingRoute
    pushes: Pushes
    tokens: TokenRoute


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths outside /v2/: of the primary's upload sessions, and where all others are sent."""

    location_prefixes: tuple[str, ...] = ()
    redirect_others_to: str = ""


class Routes:
    """Leads an admitted request to what answers it."""

    def __init__(
        self,
        names: HostNames,
        doorkeeper: Doorkeeper,
        challenges: Challenges,
        handlers: Handlers,
        paths: Paths,
    ) -> None:
        self._names = names
        self._doorkeeper = doorkeeper
        self._challenges = challenges
        self._handlers = handlers
        self._paths = paths

        self._parse_read = lru_cache(REMEMBERED_PATHS)(self._parse)

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        """Answer one request.

        Raises: whatever is to be answered as an error.
        """
        request = exchange.request
        parse_it = self._parse_read if request.method in BODILESS else self._parse
        try:
            parsed, exchange.subject = parse_it(request.method, request.raw_path)
        except RegistryError as exc:
            return await self._other(exchange, exc)
        if parsed.namespace is not None and not self._names.includes(parsed.namespace):
            raise NameUnknown("this replica doesn't serve that namespace")
        asked = parsed.request
        presented = await self._doorkeeper.recognise(request.headers.get("Authorization", ""))
        return await self._dispatch(exchange, asked, presented)

    def _parse(self, method: str, raw_path: str) -> tuple[Parsed, Subject]:
        parsed = parse(method, raw_path, self._paths.location_prefixes)
        return parsed, _subject(parsed.request)

    async def _dispatch(
        self, exchange: Exchange, asked: Request, presented: Presented
    ) -> web.StreamResponse:
        handlers = self._handlers
        match asked:
            case ManifestPull() | BlobPull():
                _require_scope(presented, asked.repository)
                return await handlers.pulls.answer(exchange, asked, presented)
            case Ping():
                return await handlers.pings.answer(exchange, presented)
            case TagList() | Referrers():
                _require_scope(presented, asked.repository)
                return await handlers.listings.answer(exchange, asked, presented)
            case Catalog():
                return await handlers.listings.answer(exchange, asked, presented)
            case _:
                return await handlers.pushes.answer(exchange, asked, presented)

    async def _other(self, exchange: Exchange, error: RegistryError) -> web.StreamResponse:
        """Answer what is no request of the registry's: the token endpoint, or somebody's page.

        The token endpoint has a grammar of its own: `scope` may stand there more than once.

        Raises: *error*, where it is neither.
        """
        request = exchange.request
        if self._challenges.leads_to(request.raw_path.partition("?")[0]):
            return await self._handlers.tokens.answer(exchange)
        is_page = request.method in ("GET", "HEAD") and not request.raw_path.startswith("/v2")
        is_elsewhere = isinstance(error, NotServedHere) and is_page
        if not self._paths.redirect_others_to or not is_elsewhere:
            raise error
        target = self._paths.redirect_others_to + "/" + request.raw_path.lstrip("/\\")
        return web.Response(status=302, headers={"Location": target})


def _require_scope(presented: Presented, repository: Repository) -> None:
    """Return if a token covers a repository.

    Raises: Unauthorized: to the letter what a caller gets whom the primary refuses.
    """
    if not presented.may_try_to_pull(repository):
        raise Unauthorized(error="insufficient_scope")


def _subject(asked: Request) -> Subject:
    """Give what is noted of a request."""
    kind = _KINDS[type(asked)]
    if isinstance(asked, (Ping, Catalog)) or asked.repository is None:
        return Subject(kind)
    name: object = ""
    if isinstance(asked, (ManifestPull, ManifestPut, ManifestDelete)):
        name = asked.reference
    elif isinstance(asked, (BlobPull, BlobDelete, Referrers)):
        name = asked.digest
    source = asked.source or "" if isinstance(asked, UploadStart) else ""
    is_cancel = isinstance(asked, UploadStep) and asked.verb is UploadVerb.DELETE
    action = Action.DELETE if is_cancel else asked.action  # registries go by the method
    return Subject(kind, asked.repository, str(name), action, source)
