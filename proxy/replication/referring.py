"""Referring: signatures, SBOMs and whatever else refers to an artifact come along with it.

Rules:
- The primary's referrers API names them (distribution-spec, "Listing Referrers"); where it has
  none, the fallback tag does (`sha256-<hex>`: "Referrers Tag Schema"). Tags of cosign
  (`sha256-<hex>.sig` and its like) are looked for in either case, in the primary's list of tags.
- Whether there is an API is known of each repository by itself: behind one domain there may be
  several registries, or projects with different rights.
- What refers to a referrer comes, too, to a depth; each manifest once, up to a number.
- The artifact is here and named before any of it is asked for. A primary that doesn't answer fails
  the job, which comes again; one that doesn't tell us is told of in the log.
"""

import json
from collections import deque
from collections.abc import Sequence

from proxy.oci.digest import Digest
from proxy.oci.errors import (
    Absent,
    BadGateway,
    RegistryError,
    StoreUnavailable,
    Unavailable,
)
from proxy.oci.manifest import read_descriptor
from proxy.oci.reference import Reference, Repository, Tag
from proxy.oci.request import Listing, ManifestPull, Referrers
from proxy.registry.bounded import BoundedMap
from proxy.registry.clock import Clock
from proxy.registry.pages import next_page
from proxy.registry.tagbook import TagBook
from proxy.replication.catalogue import CLOSED, There, read_page
from proxy.replication.copying import Copy, Means, NotStorable
from proxy.telemetry.logs import EventLog

MAX_DEPTH = 3
MAX_SUBJECTS = 100
MAX_REFERRERS = 1_000
MAX_PAGES = 50
COSIGN_SUFFIXES = (".sig", ".att", ".sbom")
KNOWN_ABSENT_SECONDS = 600.0
LIST_KEPT_SECONDS = 10.0
MAX_LISTS = 1_000

_FOREVER_AGO = float("-inf")
_FALLBACK_HEX = 64  # how much of a longer digest the tag has


class Referring:
    """Brings what refers to manifests."""

    def __init__(
        self,
        means: Means,
        there: There,
        book: TagBook,
        clock: Clock,
        log: EventLog,
    ) -> None:
        self._means = means
        self._there = there
        self._book = book
        self._clock = clock
        self._log = log
        self._has_api_after: BoundedMap[Repository, float] = BoundedMap(MAX_LISTS)
        self._lists: BoundedMap[Repository, tuple[float, frozenset[Tag]]] = BoundedMap(MAX_LISTS)

    async def follow(self, repository: Repository, copy: Copy, subjects: Sequence[Digest]) -> None:
        """Bring, as parts of *copy*, what refers to some manifests.

        Raises: Unavailable: the primary doesn't answer. StoreUnavailable.
        """
        waiting = deque((digest, 0) for digest in subjects[-MAX_SUBJECTS:])
        asked_about = set(subjects)
        brought: set[Reference] = set(subjects)
        while waiting and len(brought) < MAX_REFERRERS:
            subject, depth = waiting.popleft()
            for reference in await self._of(repository, subject):
                if reference in brought:
                    continue
                brought.add(reference)
                came = set(await self._bring(repository, copy, reference))
                if depth + 1 < MAX_DEPTH:
                    waiting.extend((digest, depth + 1) for digest in came - asked_about)
                    asked_about |= came

    async def _bring(
        self, repository: Repository, copy: Copy, reference: Reference
    ) -> Sequence[Digest]:
        """Bring one referrer; give the manifests that came with it."""
        before = len(copy.manifests)
        try:
            if isinstance(reference, Digest):
                await copy.by_digest(reference)
            else:
                await self._bring_tag(repository, copy, reference)
        except (Unavailable, StoreUnavailable):
            raise
        except Absent:
            return ()
        except (RegistryError, NotStorable) as exc:
            self._log.warning(
                "referrers.failed", repository=repository, reference=str(reference), error=str(exc)
            )
        return copy.manifests[before:]

    async def _bring_tag(self, repository: Repository, copy: Copy, tag: Tag) -> None:
        asked_at = self._clock.now()
        pull = ManifestPull(repository, tag, self._means.caller)
        fetched = await self._means.fetcher.manifest(pull)
        await copy.of(fetched)
        await self._book.keep(repository, tag, fetched.manifest.descriptor.digest, asked_at)

    # --- who refers -------------------------------------------------------------------------------

    async def _of(self, repository: Repository, subject: Digest) -> list[Reference]:
        found: list[Reference] = []
        fallback = f"{subject.algorithm}-{subject.hex[:_FALLBACK_HEX]}"
        wanted = [Tag(fallback + suffix) for suffix in COSIGN_SUFFIXES]
        listed = await self._listed(repository, subject)
        if listed is None:
            wanted.insert(0, Tag(fallback))
        else:
            found += listed
        there = await self._tags(repository)
        return [*found, *(tag for tag in wanted if tag in there)]

    async def _listed(self, repository: Repository, subject: Digest) -> list[Digest] | None:
        """Give what the API says; None where there is none, as far as we can tell."""
        if self._clock.now() < (self._has_api_after.get(repository) or _FOREVER_AGO):
            return None
        try:
            return await self._list(Referrers(repository, subject, caller=self._means.caller))
        except Absent as exc:
            if not exc.is_confirmed:
                self._has_api_after.put(repository, self._clock.now() + KNOWN_ABSENT_SECONDS)
            return None
        except (*CLOSED, BadGateway) as exc:
            self._log.warning(
                "referrers.no_list", repository=repository, digest=str(subject), error=str(exc)
            )
            return None

    async def _list(self, first: Listing) -> list[Digest]:
        found: list[Digest] = []
        page: Listing | None = first
        for _ in range(MAX_PAGES):
            if page is None or len(found) >= MAX_REFERRERS:
                break
            body, link = await read_page(self._there.primary, page)
            found += _digests_in(body)
            page = next_page(link, page) if link else None
        return found

    async def _tags(self, repository: Repository) -> frozenset[Tag]:
        """Give the tags that may be of a referrer; a list is good for some seconds."""
        now = self._clock.now()
        kept = self._lists.get(repository)
        if kept is not None and now - kept[0] < LIST_KEPT_SECONDS:
            return kept[1]
        try:
            tags = await self._there.catalogue.tags(repository)
        except (*CLOSED, BadGateway):
            return frozenset()
        found = frozenset(tag for tag in tags if tag.startswith(("sha256-", "sha512-")))
        self._lists.put(repository, (now, found))
        return found


def _digests_in(body: bytes) -> list[Digest]:
    """Give what a list of referrers names.

    Raises: BadGateway.
    """
    try:
        entries = json.loads(body)["manifests"] or []
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise BadGateway("the primary's answer is no list of referrers") from exc
    if not isinstance(entries, list):
        raise BadGateway("the primary's answer is no list of referrers")
    descriptors = (read_descriptor(entry) for entry in entries)
    return [each.digest for each in descriptors if each is not None]
