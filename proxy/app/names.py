"""By which names the primary and we are known: in Host, in realms, in Locations."""

from urllib.parse import urlsplit

from config import Settings, effective_names
from proxy.net.origins import bracketed
from proxy.web.admit import host_without_port


class OwnNames:
    """Authorities (host, with or without port) that stand for the primary or for us."""

    def __init__(self, settings: Settings) -> None:
        primary = settings.primary
        connect_to = (f"{bracketed(each.host)}:{each.port}" for each in primary.connect_to)
        self.served = effective_names(settings)
        self._authorities = frozenset({urlsplit(primary.url).netloc, *connect_to, *self.served})
        self._hosts = frozenset(map(_bare_host, self._authorities))

    def is_own_authority(self, authority: str) -> bool:
        """Say whether a URL's authority stands for the primary or for us."""
        authority = authority.lower()
        return authority in self._authorities or host_without_port(authority) in self._authorities

    def is_own_host(self, host: str) -> bool:
        """Say whether a host, without port and brackets, stands for the primary or for us."""
        return host.lower() in self._hosts


def _bare_host(authority: str) -> str:
    return host_without_port(authority).strip("[]")
