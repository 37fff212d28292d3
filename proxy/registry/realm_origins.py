"""Where a token realm may be: at the primary, on the shared domain, or where the settings say."""

from collections.abc import Iterable

from proxy.net.origins import Origin, TrustedOrigins, bracketed, default_port


class RealmOrigins:
    """Tells realms that are reached over the private link from others, and refuses the rest.

    *shared_names* are the configured names under which clients know us, with or without a port:
    DNS leads from there to ourselves, so a realm there is asked for at the primary.
    """

    def __init__(
        self, primary: Origin, shared_names: Iterable[str], trusted: TrustedOrigins
    ) -> None:
        self._primary = primary
        self._shared = frozenset(shared_names)
        self._trusted = trusted

    def is_shared(self, realm: str) -> bool:
        """Say whether a realm is the primary's own, or on the domain that leads to us.

        A name without a port stands for the usual ports and the primary's. A primary over TLS
        has no realm without it.
        """
        try:
            origin = Origin.of(realm)
        except ValueError:
            return False
        if origin == self._primary:
            return True
        if origin.scheme == "http" and self._primary.scheme == "https":
            return False
        host = bracketed(origin.host)
        if f"{host}:{origin.port}" in self._shared:
            return True
        is_usual_port = origin.port in (default_port(origin.scheme), self._primary.port)
        return host in self._shared and is_usual_port

    def place(self, realm: str) -> Origin | None:
        """Give the origin that a realm is asked at; None: over the private link.

        Raises: UntrustedOrigin: neither, and none that the settings name.
        """
        return None if self.is_shared(realm) else self._trusted.check(realm)
