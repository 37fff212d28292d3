"""Redirects of the primary: to trusted storage only, and never with a caller's credentials."""

import re
from urllib.parse import urljoin, urlsplit

from proxy.net.link import PrivateLink
from proxy.net.origins import Origin, TrustedOrigins
from proxy.net.session import Answer, Outgoing, Session
from proxy.oci.errors import BadGateway, Unavailable
from proxy.registry.answers import range_invalid

MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_URI = re.compile(r"[!-\[\]-~]+")
"""Plain text without spaces, and without what some readers take for a slash."""


class Redirects:
    """Follows redirects of reads. The primary's own origin is reached over the private link."""

    def __init__(self, link: PrivateLink, session: Session, storage: TrustedOrigins) -> None:
        self._link = link
        self._session = session
        self._storage = storage

    async def follow(
        self, method: str, path: str, answer: Answer, headers: dict[str, str]
    ) -> Answer:
        """Go where the primary's answer to a request for *path* points.

        Raises: UntrustedOrigin: to where the settings name nothing. BadGateway: nowhere, or on and
        on. RangeInvalid. Unavailable: storage didn't give the content; it can't refuse in the
        primary's name.
        """
        url = f"{self._link.origin}{path}"
        for _ in range(MAX_REDIRECTS):
            await answer.drop()
            url = _absolute(url, answer.header("Location"))
            parts = urlsplit(url)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            if _is_at(url, self._link.origin):
                answer = await self._link.request(method, target, headers)
            else:
                origin = self._storage.check(url)
                answer = await self._session.send(origin, Outgoing(method, target, headers))
            if answer.status not in REDIRECTS:
                break
        if answer.status in REDIRECTS:
            answer.close()
            raise BadGateway("the primary redirects too often")
        if answer.status == 416:
            answer.close()
            raise range_invalid(answer.headers)
        if answer.status not in (200, 206, 304):
            answer.close()
            raise Unavailable("the primary's storage didn't give the content")
        return answer


def _is_at(url: str, origin: Origin) -> bool:
    try:
        return Origin.of(url) == origin
    except ValueError:
        return False


def _absolute(url: str, location: str) -> str:
    """Give where a redirect from *url* leads.

    Raises: BadGateway: nowhere, or it couldn't stand in a request line.
    """
    if _URI.fullmatch(location) is None:
        raise BadGateway("the primary redirects to what is no URL")
    try:
        return urljoin(url, location)
    except ValueError as exc:
        raise BadGateway("the primary redirects to what is no URL") from exc
