"""Pulls and lists: what a correct registry answers, as plain functions."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, quote

from tests.support.hostile.answers import OCTETS, Answer, Pairs, document, problem
from tests.support.hostile.contents import Contents, Repository
from tests.support.hostile.settings import Settings
from tests.support.http1 import Request
from tests.support.images import OCI_INDEX

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")


@dataclass(frozen=True, slots=True)
class Reading:
    """Answers reads of *contents*."""

    contents: Contents
    settings: Settings

    def base(self) -> Answer:
        return document({}, fields=(("Docker-Distribution-API-Version", "registry/2.0"),))

    def manifest(self, request: Request, name: str, reference: str) -> Answer:
        repository = self.contents.repositories.get(name)
        found = repository.find(reference) if repository else None
        if found is None:
            return problem(404, "MANIFEST_UNKNOWN")
        fields = self._identity(found.digest)
        if self._is_known(request, found.digest):
            return Answer(304, fields)
        return Answer(200, (("Content-Type", found.media_type), *fields), found.data)

    def blob(self, request: Request, name: str, digest: str) -> Answer:
        repository = self.contents.repositories.get(name)
        if repository is None or digest not in repository.blobs:
            return problem(404, "BLOB_UNKNOWN")
        fields = (("Content-Type", OCTETS), *self._identity(digest))
        if self._is_known(request, digest):
            return Answer(304, fields)
        return self._ranged(request, Answer(200, fields, repository.blobs[digest]))

    def object(self, request: Request) -> Answer:
        """Answer for a path outside ``/v2/``."""
        content = self.contents.objects.get(request.path)
        if content is None:
            return Answer(404, (("Content-Type", "text/plain"),), b"nothing here\n")
        return self._ranged(request, Answer(200, (("Content-Type", OCTETS),), content))

    def tags(self, request: Request, name: str) -> Answer:
        repository = self.contents.repositories.get(name)
        if repository is None:
            return problem(404, "NAME_UNKNOWN")
        query = parse_qs(request.query)
        if not query.get("n", ["0"])[0].isdecimal():
            return problem(400, "PAGINATION_NUMBER_INVALID")
        tags = sorted(repository.tags)
        last = query.get("last", [""])[0]
        size = _page_size(query, self.settings.tags_page)
        page, link = _page([tag for tag in tags if tag > last], size, request.path)
        return document({"name": name, "tags": page}, fields=link)

    def catalogue(self, request: Request) -> Answer:
        query = parse_qs(request.query)
        last = query.get("last", [""])[0]
        size = _page_size(query, self.settings.catalogue_page)
        names = [name for name in sorted(self.contents.repositories) if name > last]
        page, link = _page(names, size, request.path)
        return document({"repositories": page}, fields=link)

    def referrers(self, request: Request, name: str, digest: str) -> Answer:
        if not self.settings.has_referrers:
            return Answer(404, (("Content-Type", "text/plain"),), b"404 page not found\n")
        query = parse_qs(request.query)
        found = self.contents.repositories.get(name, Repository()).referrers(digest)
        wanted = query.get("artifactType", [])
        fields: Pairs = ()
        if wanted and self.settings.filters_referrers:
            found = [each for each in found if each.get("artifactType") in wanted]
            fields = (("OCI-Filters-Applied", "artifactType"),)
        start = int(query.get("start", ["0"])[0])
        page = found[start : start + (self.settings.referrers_page or len(found) + 1)]
        if start + len(page) < len(found):
            filtered = "".join(f"&artifactType={quote(kind, '')}" for kind in wanted)
            target = f"{request.path}?start={start + len(page)}{filtered}"
            fields = (*fields, ("Link", f'<{target}>; rel="next"'))
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page}
        return document(index, OCI_INDEX, fields)

    def _identity(self, digest: str) -> Pairs:
        etag = (("ETag", f'"{digest}"'),) if self.settings.has_etags else ()
        named = (("Docker-Content-Digest", digest),) if self.settings.has_digest_header else ()
        return (*named, *etag)

    def _is_known(self, request: Request, digest: str) -> bool:
        return self.settings.has_etags and request.fields.get("If-None-Match") == f'"{digest}"'

    def _ranged(self, request: Request, answer: Answer) -> Answer:
        match = _RANGE.fullmatch(request.fields.get("Range"))
        if not self.settings.has_ranges or match is None or not any(match.groups()):
            return answer
        condition = request.fields.get("If-Range")
        if condition and condition != answer.field("ETag"):
            return answer
        size = len(answer.body)
        start, end = _bounds(match[1], match[2], size)
        if start >= min(end, size):
            return Answer(416, (("Content-Range", f"bytes */{size}"),))
        fields = (*answer.fields, ("Content-Range", f"bytes {start}-{end - 1}/{size}"))
        return Answer(206, fields, answer.body[start:end], answer.body)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """Give the half-open span that a range asks for."""
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1, size) if last else size


def _page_size(query: dict[str, list[str]], limit: int | None) -> int | None:
    asked = query.get("n")
    return int(asked[0]) if asked else limit


def _page(tags: list[str], size: int | None, path: str) -> tuple[list[str], Pairs]:
    if size is None or len(tags) <= size:
        return tags, ()
    page = tags[:size]
    if not page:
        return page, ()
    target = f"{path}?last={quote(page[-1], '')}&n={size}"
    return page, (("Link", f'<{target}>; rel="next"'),)
