"""A call of PowerDNS's remote backend to its result, both JSON.

A result has `scopeMask` wherever it depends on the client: PowerDNS keeps an answer with one in
neither its packet cache nor its query cache (UeberBackend::addCache, PacketHandler). With
`consistent-backends=no` it keeps the SOA apart, and an answer takes one call, not two. Methods that
aren't here get false, which means "not implemented" to it.

Source: doc.powerdns.com/authoritative/backends/remote.html; tried with 4.7.
"""

import json
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from geo.catalogue import Address
from geo.ranking import Ranking
from geo.records import Record, Zone, plain_name

Rank = Callable[[Address | None], Ranking]
Result = dict[str, Any]
MAX_CALL_BYTES = 16_384
MAX_TEXT_CHARACTERS = 1024
"""A name of 255 octets, each written as \\DDD."""
ZONE_ID = 1
NOT_IMPLEMENTED: Result = {"result": False}


class PowerDnsRequestInvalid(Exception):
    """A call that no PowerDNS makes."""


def respond(body: bytes, zone: Zone, rank: Rank) -> Result:
    """Give the result of a call. Raises: PowerDnsRequestInvalid."""
    method, parameters = _read(body)
    match method:
        case "initialize":
            return {"result": True}
        case "lookup":
            return {"result": _lookup(parameters, zone, rank)}
        case "getDomainInfo":
            is_ours = plain_name(_text(parameters, "name")) == plain_name(zone.domain)
            return {"result": _info(zone)} if is_ours else NOT_IMPLEMENTED
        case "getAllDomains":
            return {"result": [_info(zone)]}
        case "getAllDomainMetadata":
            return {"result": {}}
        case "getDomainMetadata":
            return {"result": []}
        case _:
            return NOT_IMPLEMENTED


def client_of(parameters: Mapping[str, Any]) -> Address | None:
    """Give the client of a lookup: the subnet that a resolver tells of, else who asks; None:
    neither is an address.
    """
    for key in ("real-remote", "remote"):
        found = _address(parameters.get(key))
        if found is not None:
            return found
    return None


def _read(body: bytes) -> tuple[str, Mapping[str, Any]]:
    if len(body) > MAX_CALL_BYTES:
        raise PowerDnsRequestInvalid(f"longer than {MAX_CALL_BYTES} bytes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise PowerDnsRequestInvalid("not JSON") from exc
    if not isinstance(document, dict):
        raise PowerDnsRequestInvalid("expected an object")
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict):
        raise PowerDnsRequestInvalid("parameters: expected an object")
    return _text(document, "method"), parameters


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARACTERS:
        raise PowerDnsRequestInvalid(f"{key}: expected a text")
    return value


def _lookup(parameters: Mapping[str, Any], zone: Zone, rank: Rank) -> list[Result]:
    qname, qtype = _text(parameters, "qname"), _text(parameters, "qtype")
    if not zone.holds(qname):
        return []
    found = zone.answer(qname, qtype, rank(client_of(parameters)))
    return [_record(each) for each in found]


def _address(raw: object) -> Address | None:
    """Give the address of "addr/len" or "addr"; None: it isn't one, or says "of any client"."""
    if not isinstance(raw, str) or len(raw) > MAX_TEXT_CHARACTERS:
        return None
    text, _, length = raw.partition("/")
    try:
        address = ip_address(text.partition("%")[0])
        bits = int(length) if length else address.max_prefixlen
    except ValueError:
        return None
    is_told = 0 < bits <= address.max_prefixlen and not address.is_unspecified
    return address if is_told else None


def _record(record: Record) -> Result:
    return {
        "qname": f"{record.name}.",
        "qtype": str(record.type),
        "content": record.content,
        "ttl": record.ttl_seconds,
        "auth": 1,
        "domain_id": ZONE_ID,
        "scopeMask": record.scope_bits,
    }


def _info(zone: Zone) -> Result:
    return {
        "id": ZONE_ID,
        "zone": f"{plain_name(zone.domain)}.",
        "kind": "native",
        "masters": [],
        "serial": zone.serial,
        "notified_serial": zone.serial,
        "last_check": 0,
    }
