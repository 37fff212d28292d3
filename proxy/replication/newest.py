"""Which tags of a repository are the newest, as far as registries tell.

Lists of tags have no dates, and no header of an answer can be relied on. What there is: the
annotation `org.opencontainers.image.created` of a manifest or an index (one request), else the
`created` of an image's config (one more, two for an index). Builds that are made reproducible carry
an old date or none. So:
- A repository with no more tags than wanted costs no request.
- Otherwise up to `MAX_DATED` tags are asked about, `latest` and those first whose names are
  highest, numbers in them by their value.
- Tags without a date come after those with one, by name.
"""

import json
import re
from datetime import UTC, datetime
from typing import Any

from proxy.oci.caller import Caller
from proxy.oci.descriptor import Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import BadGateway, RegistryError, SizeInvalid, Unavailable
from proxy.oci.manifest import INDEX_TYPES, Manifest, document_of, read_descriptor
from proxy.oci.platform import UNKNOWN, manifests_of
from proxy.oci.reference import Reference, Repository, Tag
from proxy.oci.request import BlobPull, ManifestPull
from proxy.registry.bounded import BoundedMap
from proxy.registry.fetcher import Fetcher
from proxy.replication.asking import Asking

MAX_DATED = 200
MAX_CONFIG_BYTES = 1 << 20
MAX_DEPTH = 2
MAX_REMEMBERED = 1_000
CREATED = "org.opencontainers.image.created"
LATEST = "latest"

_NUMBERS = re.compile(r"([0-9]+)")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Newest:
    """Finds the newest tags, asking as *caller*."""

    def __init__(self, fetcher: Fetcher, caller: Caller, asking: Asking) -> None:
        self._fetcher = fetcher
        self._caller = caller
        self._asking = asking
        self._dates: BoundedMap[Digest, datetime] = BoundedMap(MAX_REMEMBERED)

    async def of(self, repository: Repository, tags: frozenset[Tag], count: int) -> frozenset[Tag]:
        """Give the *count* newest of some tags.

        Raises: Unavailable: the primary doesn't answer.
        """
        if len(tags) <= count:
            return tags
        by_name = sorted(tags, key=by_height, reverse=True)
        looked_at = by_name[: max(MAX_DATED, count)]
        dates = {tag: await self._date(repository, tag) for tag in looked_at}
        looked_at.sort(key=dates.__getitem__, reverse=True)  # stable: by name where dates agree
        return frozenset(looked_at[:count])

    async def _date(self, repository: Repository, tag: Tag) -> datetime:
        try:
            return await self._date_of(repository, await self._manifest(repository, tag))
        except Unavailable:
            raise
        except RegistryError:
            return _LONG_AGO

    async def _date_of(
        self, repository: Repository, manifest: Manifest, depth: int = 0
    ) -> datetime:
        digest = manifest.descriptor.digest
        known = self._dates.get(digest)
        if known is None:
            known = await self._find_date(repository, manifest, depth) or _LONG_AGO
            self._dates.put(digest, known)
        return known

    async def _find_date(
        self, repository: Repository, manifest: Manifest, depth: int
    ) -> datetime | None:
        document = document_of(manifest.data)
        if (date := _annotated(document)) is not None:
            return date
        if manifest.descriptor.media_type not in INDEX_TYPES:
            config = read_descriptor(document.get("config"))
            return await self._date_in(repository, config) if config is not None else None
        for child in manifests_of(manifest.data):
            if child.platform != UNKNOWN and depth < MAX_DEPTH:
                found = await self._manifest(repository, child.descriptor.digest)
                return await self._date_of(repository, found, depth + 1)
        return None

    async def _manifest(self, repository: Repository, reference: Reference) -> Manifest:
        pull = ManifestPull(repository, reference, self._caller)
        return (await self._asking.ask(lambda: self._fetcher.manifest(pull))).manifest

    async def _date_in(self, repository: Repository, config: Descriptor) -> datetime | None:
        """Give the date that an image's config has."""
        if not 2 < config.size <= MAX_CONFIG_BYTES or "json" not in config.media_type:
            return None
        data = await self._asking.ask(lambda: self._read(repository, config))
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return date_in(document.get("created")) if isinstance(document, dict) else None

    async def _read(self, repository: Repository, config: Descriptor) -> bytes:
        pull = BlobPull(repository, config.digest, self._caller)
        stream = await self._fetcher.open(pull, None)
        data = bytearray()
        try:
            async for chunk in stream.chunks:
                data += chunk
                if len(data) > MAX_CONFIG_BYTES:
                    raise SizeInvalid
        finally:
            await stream.aclose()
        if not config.digest.matches(bytes(data)):
            raise BadGateway("a config's bytes don't have its digest")
        return bytes(data)


def _annotated(document: dict[str, Any]) -> datetime | None:
    annotations = document.get("annotations")
    return date_in(annotations.get(CREATED)) if isinstance(annotations, dict) else None


def date_in(text: object) -> datetime | None:
    """Give the time that a text of RFC 3339 names; None if it is none."""
    if not isinstance(text, str) or len(text) > 64:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def by_height(tag: Tag) -> tuple[bool, list[tuple[bool, int, str]]]:
    """Give a key that sorts tags by name, numbers in it by their value, `latest` highest."""
    parts = _NUMBERS.split(tag)
    numbered = [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
    return tag == LATEST, numbered
