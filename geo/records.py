"""The records of the shared name: the answer of a ranking in words of DNS.

The shared name is the zone's apex: it is what gets delegated to the DNS servers. Regions' own names
that lie below it are in the zone too, with the same answer for everybody. Which types the shared
name has is the same for all clients (`geo.reading` sees to it): "none of that type" can't be told
to one alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from geo.catalogue import SUBNET_BITS, Address, Region
from geo.ranking import Ranking

REFRESH_SECONDS, RETRY_SECONDS, EXPIRE_SECONDS = 3600, 600, 604_800
"""For secondaries, which there are none of: each server asks for itself."""
MAX_TEXT_BYTES = 255


class RecordType(StrEnum):
    """Types that the zone holds."""

    SOA = "SOA"
    NS = "NS"
    A = "A"
    AAAA = "AAAA"
    TXT = "TXT"


ANY = "ANY"
"""As a question: all types. PowerDNS asks so to have one call for each name."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. name: without the dot at its end. scope_bits: 0: the same for all clients."""

    name: str
    type: RecordType
    content: str
    ttl_seconds: int
    scope_bits: int = 0


@dataclass(frozen=True, slots=True)
class Zone:
    """What a zone says of itself. Names without the dot at their end."""

    domain: str
    ttl_seconds: int
    nameservers: tuple[str, ...]
    hostmaster: str
    serial: int

    def answer(self, qname: str, qtype: str, ranking: Ranking) -> tuple[Record, ...]:
        """Give the records of a name and type for the client of *ranking*; any case, with a dot
        at the end or without; none: the name isn't there, or has none of that type.
        """
        name, wanted = plain_name(qname), qtype.upper()
        found = (
            self._apex(ranking) if name == plain_name(self.domain) else self._hosts(name, ranking)
        )
        return tuple(each for each in found if wanted in {ANY, each.type})

    def holds(self, qname: str) -> bool:
        """Say whether a name is the zone's apex or below it."""
        return f".{plain_name(qname)}".endswith(f".{plain_name(self.domain)}")

    def _apex(self, ranking: Ranking) -> Iterator[Record]:
        domain, ttl = plain_name(self.domain), self.ttl_seconds
        scope = scope_of(ranking.client)
        yield Record(domain, RecordType.SOA, self._soa(), ttl)
        for each in self.nameservers:
            yield Record(domain, RecordType.NS, f"{plain_name(each)}.", ttl)
        yield from _addresses(domain, ranking.answer, ttl, scope)
        # No reason: that names private networks and sick regions, and makes the answer long.
        text = f"region={ranking.answer.name} by={ranking.by}"
        yield Record(domain, RecordType.TXT, _quoted(text), ttl, scope)

    def _hosts(self, name: str, ranking: Ranking) -> Iterator[Record]:
        if self.holds(name):
            for each in ranking.regions:
                if each.region.host and plain_name(each.region.host) == name:
                    yield from _addresses(name, each.region, self.ttl_seconds, 0)

    def _soa(self) -> str:
        first = plain_name(self.nameservers[0]) if self.nameservers else plain_name(self.domain)
        # The last number is how long "no such name" is believed: no longer than an answer.
        return (
            f"{first}. {plain_name(self.hostmaster)}. {self.serial} {REFRESH_SECONDS} "
            f"{RETRY_SECONDS} {EXPIRE_SECONDS} {self.ttl_seconds}"
        )


def plain_name(name: str) -> str:
    """Give a name in small letters, without the dot at its end."""
    return name.lower().removesuffix(".")


def scope_of(client: Address | None) -> int:
    """Give the length of the prefix that an answer for this client is valid for.

    As much of an address as a resolver tells, never the length of the network that it lies in: a
    longer one may lie within that, and the clients of a region that is down are spread by subnets.

    A client that nobody knows gets the shortest of the two: no answer that depends on the client
    may have 0, which lets a server give it to everybody.
    """
    return SUBNET_BITS[client.version if client else 4]


def _addresses(name: str, region: Region, ttl_seconds: int, scope_bits: int) -> Iterator[Record]:
    for each in region.addresses:
        kind = RecordType.A if each.version == 4 else RecordType.AAAA
        yield Record(name, kind, str(each), ttl_seconds, scope_bits)


def _quoted(text: str) -> str:
    """Give a text as one string of a TXT record."""
    plain = "".join(each if " " <= each <= "~" and each not in '"\\' else "?" for each in text)
    return f'"{plain[:MAX_TEXT_BYTES]}"'
