"""The records of each region, for servers that don't ask: private zones of clouds, and others.

A private zone is seen by one region's network alone, so that the shared name has one answer in it:
the region itself while that can be used, else where its clients go.
"""

from collections.abc import Iterable
from typing import Any

from geo.nearness import Nearness
from geo.ranking import Ranking
from geo.records import ANY, Record, RecordType, Zone


def records_of(zone: Zone, ranking: Ranking) -> tuple[Record, ...]:
    """Give all records of the zone for the clients of *ranking*, the shared name first."""
    hosts = sorted({each.region.host for each in ranking.regions if each.region.host})
    names = [zone.domain, *(each for each in hosts if each != zone.domain)]
    return tuple(record for name in names for record in zone.answer(name, ANY, ranking))


def zone_text(zone: Zone, ranking: Ranking) -> str:
    """Give a zone file (RFC 1035, 5) for the clients of *ranking*."""
    head = [f"$ORIGIN {zone.domain}.", f"$TTL {zone.ttl_seconds}"]
    return "\n".join([*head, *_lines(records_of(zone, ranking))]) + "\n"


def _lines(records: Iterable[Record]) -> Iterable[str]:
    for each in records:
        yield f"{each.name}. {each.ttl_seconds} IN {each.type} {each.content}"


def zone_document(zone: Zone, nearness: Nearness) -> dict[str, Any]:
    """Give the same for every region, as a document of JSON; SOA and NS are the other server's."""
    return {
        "domain": zone.domain,
        "ttl_seconds": zone.ttl_seconds,
        "regions": {
            each.name: _view(zone, nearness.rank_from(each)) for each in nearness.catalogue.regions
        },
    }


def _view(zone: Zone, ranking: Ranking) -> dict[str, Any]:
    own = {RecordType.A, RecordType.AAAA}
    return {
        "answer": ranking.answer.name,
        "reason": ranking.reason,
        "records": [
            {"name": each.name, "type": str(each.type), "content": each.content}
            for each in records_of(zone, ranking)
            if each.type in own
        ],
    }
