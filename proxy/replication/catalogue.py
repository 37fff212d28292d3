"""The catalogue: what the primary has, by its own lists.

Rules:
- A list is whole or there is none: one that breaks off, goes in circles or is longer than allowed
  is an error, since whoever compares takes what isn't in it for gone.
- Where the list of repositories isn't offered to us, those of the settings count, and those that
  are here because somebody pulled from them.
- Absent, forbidden and unreachable are three things, each its own kind of error.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from proxy.oci.caller import Caller
from proxy.oci.errors import (
    Absent,
    BadGateway,
    Denied,
    ManifestUnknown,
    NameInvalid,
    Refused,
    SizeInvalid,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from proxy.oci.reference import Repository, Tag
from proxy.oci.request import Catalog, Listing, TagList
from proxy.registry import walk
from proxy.registry.fetcher import Fetcher
from proxy.registry.pages import next_page
from proxy.registry.primary import Primary
from proxy.registry.tree import Tree
from proxy.replication.asking import Asking
from proxy.replication.plan import Scope

MAX_PAGE_BYTES = 4 << 20
MAX_PAGES = 10_000
MAX_ENTRIES = 500_000
LIST_SECONDS = 900.0

CLOSED = (Unauthorized, Denied, Absent, Unsupported, Refused)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Overview:
    """Which repositories there are: at the primary, None where it doesn't say; and to look at."""

    listed: frozenset[Repository] | None
    all: frozenset[Repository]

    @property
    def is_open(self) -> bool:
        """Say whether the primary lists its repositories."""
        return self.listed is not None

    def lacks(self, repository: Repository) -> bool:
        """Say whether the primary lists its repositories, and not this one."""
        return self.listed is not None and repository not in self.listed


class Catalogue:
    """Reads the primary's lists as *caller*; *watched* are the repositories of the settings.

    What *scope* excludes isn't looked at.
    """

    def __init__(
        self,
        primary: Primary,
        caller: Caller,
        asking: Asking,
        tree: Tree,
        scope: Scope,
        watched: Sequence[Repository] = (),
    ) -> None:
        self._primary = primary
        self._caller = caller
        self._asking = asking
        self._tree = tree
        self._scope = scope
        self._watched = frozenset(watched)

    async def overview(self) -> Overview:
        """Give the repositories there are.

        Raises: Unavailable, BadGateway: it can't be found out. StoreUnavailable.
        """
        here = await self._tree.run(lambda: frozenset(walk.repositories(self._tree.layout)))
        try:
            names = await self._list(Catalog(caller=self._caller), "repositories", _repository)
        except CLOSED:
            return Overview(None, (here | self._watched) - self._scope.excluded)
        return Overview(names, (names | here | self._watched) - self._scope.excluded)

    async def tags(self, repository: Repository) -> frozenset[Tag]:
        """Give the tags of a repository.

        Raises: Absent: the primary says that there is no such repository. Unauthorized, Denied,
        Refused: it doesn't tell us. Unavailable, BadGateway.
        """
        try:
            return await self._list(TagList(repository, caller=self._caller), "tags", _tag)
        except Absent as exc:
            if exc.is_confirmed:
                raise
            raise Unavailable("the primary's 404 is none of a registry") from exc

    async def _list(
        self, first: Listing, key: str, read: Callable[[str], T | None]
    ) -> frozenset[T]:
        found: set[T] = set()
        asked: set[Listing] = set()
        page: Listing | None = first
        try:
            async with asyncio.timeout(LIST_SECONDS):
                while page is not None:
                    asked.add(page)
                    entries, page = await self._page(page, key)
                    found.update(each for each in map(read, entries) if each is not None)
                    if page in asked or len(asked) > MAX_PAGES or len(found) > MAX_ENTRIES:
                        raise BadGateway("the primary's list has no end")
        except TimeoutError as exc:
            raise Unavailable("the primary's list takes too long") from exc
        return frozenset(found)

    async def _page(self, page: Listing, key: str) -> tuple[list[str], Listing | None]:
        body, link = await self._asking.ask(lambda: read_page(self._primary, page))
        try:
            entries = json.loads(body)[key] or []
        except (ValueError, KeyError, TypeError, RecursionError) as exc:
            raise BadGateway("the primary's answer is no list") from exc
        if not isinstance(entries, list):
            raise BadGateway("the primary's answer is no list")
        names = [each for each in entries if isinstance(each, str)]
        return names, next_page(link, page) if link else None


@dataclass(frozen=True, slots=True)
class There:
    """The primary, asked as *caller*, and at which pace where nobody waits."""

    primary: Primary
    fetcher: Fetcher
    catalogue: Catalogue
    asking: Asking
    caller: Caller


async def read_page(primary: Primary, page: Listing) -> tuple[bytes, str]:
    """Give the body of a listing and its Link header.

    Raises: as `Primary.listing`. BadGateway: it is larger than allowed. Unavailable: cut short.
    """
    answer = await primary.listing(page)
    try:
        body = await answer.read(MAX_PAGE_BYTES)
    except SizeInvalid as exc:
        raise BadGateway("the primary's list is larger than allowed") from exc
    if answer.content_length not in (None, len(body)):
        raise Unavailable
    return body, answer.header("Link")


def _repository(text: str) -> Repository | None:
    try:
        return Repository.parse(text)
    except NameInvalid:
        return None


def _tag(text: str) -> Tag | None:
    try:
        return Tag.parse(text)
    except ManifestUnknown:
        return None
