"""Where an upload goes on: the primary's Location, brought to our own domain."""

import re
from collections.abc import Callable
from urllib.parse import SplitResult, urljoin, urlsplit

from proxy.oci.errors import UntrustedOrigin

_URI = re.compile(r"[!-\[\]-~]+")
"""Plain text without spaces, and without what some readers take for a slash."""


class Locations:
    """Rewrites Locations. *is_ours* tells the authorities that stand for the primary or for us.

    The result is a reference without a host, its query byte-exact, so that an upload survives a
    change of replica. A path outside /v2/ must begin with one of *prefixes*.
    """

    def __init__(self, is_ours: Callable[[str], bool], prefixes: tuple[str, ...]) -> None:
        self._is_ours = is_ours
        self._prefixes = ("/v2/", *prefixes)

    def ours(self, asked_path: str, location: str) -> str:
        """Give *location* as our clients may use it.

        Raises: UntrustedOrigin: it leads to a foreign host, or to a path that isn't a registry's.
        """
        parts = _parts(asked_path, location)
        is_plain_reference = not parts.scheme and not parts.netloc
        is_own = parts.scheme in ("", "http", "https") and self._is_ours(parts.netloc)
        if not (is_plain_reference or is_own):
            raise UntrustedOrigin("the primary's Location leads to another host")
        is_known_path = parts.path.startswith(self._prefixes)
        if not is_known_path or "//" in parts.path or "/../" in f"{parts.path}/":
            raise UntrustedOrigin("the primary's Location leads outside the registry's paths")
        query = location.partition("#")[0].partition("?")[2]
        return f"{parts.path}?{query}" if query else parts.path


def _parts(asked_path: str, location: str) -> SplitResult:
    if _URI.fullmatch(location) is None:
        raise UntrustedOrigin("the primary's Location is no URL")
    try:
        return urlsplit(urljoin(asked_path, location))
    except ValueError as exc:
        raise UntrustedOrigin("the primary's Location is no URL") from exc
