"""Listings: tags, referrers and the catalogue, as the primary gives them.

Tag lists are the primary's or, in an outage, the last complete one marked stale; never a local
subset, since clean-up tools act on them. Referrers are kept byte-exact for each (repository,
subject, query) under the rules of tags; where the primary has no referrers API its 404 is passed
on, so that clients write the fallback tag.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from proxy.oci.errors import Absent, BadGateway, SizeInvalid, Unavailable
from proxy.oci.reference import Repository
from proxy.oci.request import Action, Catalog, Listing, Referrers, TagList
from proxy.registry.callers import KnownCallers
from proxy.registry.clock import Clock
from proxy.registry.freshness import TagRules
from proxy.registry.pages import next_target
from proxy.registry.primary import Primary
from proxy.registry.sidecar import AnswerRow, Sidecar

MAX_LISTING_BYTES = 16 << 20
TAGS = "tags"
REFERRERS = "referrers"

_KEPT_HEADERS = ("Content-Type", "Link", "OCI-Filters-Applied")


@dataclass(frozen=True, slots=True)
class ListingAnswer:
    """A listing's body with the headers that belong to it."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    stale_seconds: float | None = None


class Listings:
    """Answers listings. *is_own_host* tells our names and the primary's from foreign ones."""

    def __init__(
        self,
        primary: Primary,
        sidecar: Sidecar,
        known: KnownCallers,
        rules: TagRules,
        clock: Clock,
        is_own_host: Callable[[str], bool],
    ) -> None:
        self._primary = primary
        self._sidecar = sidecar
        self._known = known
        self._rules = rules
        self._clock = clock
        self._is_own_host = is_own_host

    async def get(self, listing: Listing) -> ListingAnswer:
        """Give a listing to a caller who may pull from its repository.

        Raises: whatever the primary answers; Unavailable: it can't be asked and nothing is kept.
        """
        match listing:
            case TagList():
                return await self._tags(listing)
            case Referrers():
                return await self._referrers(listing)
            case Catalog():
                return await self._ask(listing)

    async def _ask(self, listing: Listing) -> ListingAnswer:
        answer = await self._primary.listing(listing)
        try:
            body = await answer.read(MAX_LISTING_BYTES)
        except SizeInvalid as exc:
            raise BadGateway("the primary's list is larger than allowed") from exc
        if answer.content_length not in (None, len(body)):
            raise Unavailable
        headers = {name: answer.header(name) for name in _KEPT_HEADERS if answer.header(name)}
        if "Link" in headers:
            headers["Link"] = self._own_link(headers["Link"], listing.path)
        return ListingAnswer(body, headers)

    def _own_link(self, header: str, path: str) -> str:
        """Let the next page lead to us, as a reference without a host.

        Raises: BadGateway: it leads elsewhere, or to what is no page.
        """
        parts = next_target(header, path)
        if parts.hostname is not None and not self._is_own_host(parts.hostname):
            raise BadGateway("the primary's next page is on another host")
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        return f'<{target}>; rel="next"'

    # --- tags -------------------------------------------------------------------------------------

    async def _tags(self, listing: TagList) -> ListingAnswer:
        drops = self._sidecar.answer_drops
        try:
            answer = await self._ask(listing)
        except Unavailable:
            return await self._last_tags(listing)
        except Absent as exc:
            if not exc.is_foreign:
                raise
            return await self._last_tags(listing)
        _check_tags(answer.body)
        is_whole = listing.n is None and not listing.last and not listing.others
        if is_whole and "Link" not in answer.headers:
            self._keep(TAGS, listing.repository, "", answer, drops)
        return answer

    async def _last_tags(self, listing: TagList) -> ListingAnswer:
        """Give the last complete list, cut to the page that was asked for.

        Raises: Unavailable: this caller has no right that holds in an outage, nothing is kept, or
        the page is named in the primary's own words.
        """
        self._require_grace(listing)
        if listing.others:
            raise Unavailable
        row = await self._kept(TAGS, listing.repository, "")
        if row is None:
            raise Unavailable
        age = self._clock.wall() - row.checked_at
        return _page_of(row, listing, age)

    # --- referrers --------------------------------------------------------------------------------

    async def _referrers(self, listing: Referrers) -> ListingAnswer:
        key = f"{listing.digest}?{listing.query}"
        drops = self._sidecar.answer_drops
        row = await self._kept(REFERRERS, listing.repository, key)
        age = self._clock.wall() - row.checked_at if row else 0.0
        if row is not None and age < self._rules.ttl and self._is_let_in(listing):
            return _answer_of(row, None)
        try:
            answer = await self._ask(listing)
        except Unavailable:
            self._require_grace(listing)
            if row is None:
                raise
            return _answer_of(row, age)
        self._keep(REFERRERS, listing.repository, key, answer, drops)
        return answer

    # --- rights and keeping -----------------------------------------------------------------------

    def _is_let_in(self, listing: TagList | Referrers) -> bool:
        right = (listing.caller, listing.repository, Action.PULL)
        return self._known.rights.is_granted(right) or self._known.listings.is_granted(right)

    def _require_grace(self, listing: TagList | Referrers) -> None:
        right = (listing.caller, listing.repository, Action.PULL)
        known = self._known
        if not (known.rights.has_been_granted(right) or known.listings.has_been_granted(right)):
            raise Unavailable

    async def _kept(self, kind: str, repository: Repository, key: str) -> AnswerRow | None:
        row = await self._sidecar.answer(kind, repository, key)
        if row is None or self._clock.wall() - row.checked_at > self._rules.stale_limit:
            return None
        return row

    def _keep(
        self, kind: str, repository: Repository, key: str, answer: ListingAnswer, drops: int
    ) -> None:
        """Keep an answer, unless some were dropped since it was asked for: it may be as old."""
        if drops != self._sidecar.answer_drops:
            return
        row = AnswerRow(json.dumps(dict(answer.headers)), answer.body, self._clock.wall())
        self._sidecar.put_answer(kind, repository, key, row)


def _check_tags(body: bytes) -> None:
    """Return if *body* is a list of tags.

    Raises: BadGateway.
    """
    try:
        tags = json.loads(body)["tags"] or []
        is_list = isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise BadGateway("the primary's answer is no list of tags") from exc
    if not is_list:
        raise BadGateway("the primary's answer is no list of tags")


def _answer_of(row: AnswerRow, stale_seconds: float | None) -> ListingAnswer:
    return ListingAnswer(row.body, json.loads(row.headers), stale_seconds)


def _page_of(row: AnswerRow, listing: TagList, age: float) -> ListingAnswer:
    """Cut a complete list to a page: the tags after `last`, at most `n` of them, in the spec's
    order: cut in another, the pages would not be the whole list.
    """
    if listing.n is None and not listing.last:
        return _answer_of(row, age)
    document = json.loads(row.body)
    tags = sorted(tag for tag in document["tags"] or [] if tag > listing.last)
    page = tags if listing.n is None else tags[: listing.n]
    headers = {"Content-Type": "application/json"}
    if page and len(page) < len(tags):
        query = f"n={listing.n}&last={quote(page[-1], safe='')}"
        headers["Link"] = f'</v2/{listing.repository}/tags/list?{query}>; rel="next"'
    body = json.dumps({"name": listing.repository, "tags": page}).encode()
    return ListingAnswer(body, headers, age)
