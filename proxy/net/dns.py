"""Names by chosen name servers, so that the shared domain doesn't resolve to ourselves."""

import asyncio
import socket
from collections.abc import Sequence

import aiodns
from aiohttp.abc import AbstractResolver, ResolveResult

QUERY_TIMEOUT_SECONDS = 2.0
QUERY_TRIES = 2
MIN_TTL_SECONDS = 5
MAX_TTL_SECONDS = 300


class DnsResolver(AbstractResolver):
    """Asks only DNS, and only the given servers: aiodns would read the hosts file as well."""

    def __init__(self, nameservers: Sequence[str]) -> None:
        self._resolver = aiodns.DNSResolver(
            nameservers=list(nameservers),
            lookups="b",
            timeout=QUERY_TIMEOUT_SECONDS,
            tries=QUERY_TRIES,
        )

    async def addresses(self, host: str) -> tuple[list[str], int]:
        """Give the addresses of *host* and for how many seconds they hold.

        Raises: OSError: no such name, or no server answered.
        """
        try:
            found = await self._resolver.getaddrinfo(host, type=socket.SOCK_STREAM)
        except aiodns.error.DNSError as exc:
            raise OSError(f"{host} could not be resolved: {exc.args[-1]}") from exc
        addresses = [_text(node.addr[0]) for node in found.nodes]
        ttl = min((node.ttl for node in found.nodes), default=MIN_TTL_SECONDS)
        return addresses, max(MIN_TTL_SECONDS, min(ttl, MAX_TTL_SECONDS))

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Answer aiohttp's connector."""
        del family
        addresses, _ = await self.addresses(host)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        await self._resolver.close()


def _text(address: str | bytes) -> str:
    return address.decode() if isinstance(address, bytes) else address


async def system_addresses(host: str) -> tuple[list[str], int]:
    """Give what the system's resolver says of *host*.

    Raises: OSError: no such name.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found)), MIN_TTL_SECONDS
