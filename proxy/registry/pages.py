"""Pages: the Link header that leads to a listing's next part (RFC 8288)."""

import re
from urllib.parse import SplitResult, urljoin, urlsplit

from proxy.oci.errors import BadGateway, RegistryError
from proxy.oci.grammar import parse
from proxy.oci.request import Catalog, Listing, Referrers, TagList

_LINK = re.compile(r'<([^<>\s]{1,4096})>\s*;\s*rel="?next"?')


def next_target(header: str, path: str) -> SplitResult:
    """Give where the next page of what was asked at *path* is.

    Raises: BadGateway: that can't be read.
    """
    match = _LINK.search(header)
    if match is None:
        raise BadGateway("the primary's Link header can't be read")
    target: str = match.group(1)
    try:
        return urlsplit(urljoin(path, target))
    except ValueError as exc:
        raise BadGateway("the primary's Link header can't be read") from exc


def next_page(header: str, asked: Listing) -> Listing:
    """Give the request for the next page, to the same primary whatever host the link names.

    Raises: BadGateway: it leads to something else.
    """
    parts = next_target(header, asked.path)
    try:
        found = parse("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path).request
    except RegistryError as exc:
        raise BadGateway("the primary's next page is no page") from exc
    match asked, found:
        case Catalog(), Catalog():
            return Catalog(found.n, found.last, found.others, asked.caller)
        case TagList(), TagList() if found.repository == asked.repository:
            return TagList(asked.repository, found.n, found.last, found.others, asked.caller)
        case Referrers(), Referrers() if found.digest == asked.digest:
            return Referrers(asked.repository, asked.digest, found.query, asked.caller)
        case _:
            raise BadGateway("the primary's next page is one of something else")
