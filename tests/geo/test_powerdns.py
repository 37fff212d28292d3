"""Calls of PowerDNS's remote backend, as its 4.7 makes them."""

import json
from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geo.nearness import Nearness
from geo.powerdns import PowerDnsRequestInvalid, client_of, respond
from geo.records import Zone
from geo.situation import Situation
from tests.support.geo import catalogue, region

ZONE = Zone("registry.example.com", 10, ("ns1.example.com",), "ops.example.com", 7)
SINGAPORE, TOKYO = region("ap-singapore", "10.1.0.0/16"), region("ap-tokyo", "10.3.0.0/16")
NEARNESS = Nearness(catalogue(SINGAPORE, TOKYO), Situation(), lambda _: None)
INFO = {
    "id": 1, "zone": "registry.example.com.", "kind": "native", "masters": [],
    "serial": 7, "notified_serial": 7, "last_check": 0,
}  # fmt: skip


def call(method, **parameters):
    body = json.dumps({"method": method, "parameters": parameters}).encode()
    return respond(body, ZONE, NEARNESS.rank)["result"]


def lookup(qname="registry.example.com.", qtype="A", real="10.3.0.0/24", remote="10.1.0.1"):
    parameters = {"real-remote": real, "remote": remote, "local": "127.0.0.1", "zone-id": -1}
    return call("lookup", qname=qname, qtype=qtype, **parameters)


def test_lookup_gives_all_fields():
    """A record has the fields that PowerDNS reads, its scope among them."""
    assert lookup() == [
        {
            "qname": "registry.example.com.", "qtype": "A", "content": str(TOKYO.addresses[0]),
            "ttl": 10, "auth": 1, "domain_id": 1, "scopeMask": 24,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "parameters", "result"),
    [
        ("initialize", {"url": "http://127.0.0.1:5380/"}, True),
        ("getAllDomains", {"include_disabled": True}, [INFO]),
        ("getDomainInfo", {"name": "Registry.Example.com."}, INFO),
        ("getDomainInfo", {"name": "example.com."}, False),
        ("getAllDomainMetadata", {"name": "registry.example.com."}, {}),
        ("getDomainMetadata", {"name": "registry.example.com.", "kind": "ALLOW-AXFR-FROM"}, []),
        ("list", {"zonename": "registry.example.com.", "domain_id": 1}, False),
        ("getDomainKeys", {"name": "registry.example.com."}, False),
        ("setNotified", {"id": 1, "serial": 2}, False),
        (
            "startTransaction",
            {"domain": "registry.example.com.", "domain_id": 1, "trxid": 1},
            False,
        ),
        ("dropEverything", {}, False),
    ],
)
def test_methods(method, parameters, result):
    """What PowerDNS asks for beside records gets its result; what we don't do is refused."""
    assert call(method, **parameters) == result


@pytest.mark.parametrize(
    ("qname", "qtype", "count"),
    [
        ("registry.example.com.", "SOA", 1),
        ("registry.example.com.", "ANY", 4),
        ("registry.example.com.", "AAAA", 0),
        ("example.com.", "SOA", 0),
        ("com.", "ANY", 0),
        (".", "SOA", 0),
        ("*.registry.example.com.", "ANY", 0),
        ("xregistry.example.com.", "ANY", 0),
        ("registry\\.example.com.", "ANY", 0),
    ],
)
def test_names(qname, qtype, count):
    """The zone's own names have records, no other has any."""
    assert len(lookup(qname, qtype)) == count


@pytest.mark.parametrize(
    ("real", "remote", "client"),
    [
        ("10.3.7.0/24", "10.1.0.1", "10.3.7.0"),
        ("10.3.7.9/32", "10.1.0.1", "10.3.7.9"),
        ("10.3.7.9", "10.1.0.1", "10.3.7.9"),
        ("2001:db8:1::/56", "10.1.0.1", "2001:db8:1::"),
        ("::ffff:10.3.7.0/120", "10.1.0.1", "::ffff:10.3.7.0"),
        ("fe80::1%eth1/128", "10.1.0.1", "fe80::1"),
        # What isn't a client's subnet changes nothing: the one who asks is located.
        ("0.0.0.0/0", "10.1.0.1", "10.1.0.1"),
        ("10.3.7.0/0", "10.1.0.1", "10.1.0.1"),
        ("10.3.7.0/33", "10.1.0.1", "10.1.0.1"),
        ("10.3.7.0/-1", "10.1.0.1", "10.1.0.1"),
        ("10.3.7.0/x", "10.1.0.1", "10.1.0.1"),
        ("10.3.7.0/24/8", "10.1.0.1", "10.1.0.1"),
        ("010.3.7.0/24", "10.1.0.1", "10.1.0.1"),
        ("10.3.7/24", "10.1.0.1", "10.1.0.1"),
        ("", "10.1.0.1", "10.1.0.1"),
        (None, "10.1.0.1", "10.1.0.1"),
        (["10.3.7.0/24"], "10.1.0.1", "10.1.0.1"),
        (167_968_768, "10.1.0.1", "10.1.0.1"),
        ("1" * 5000, "10.1.0.1", "10.1.0.1"),
        ("junk", "2001:db8::1", "2001:db8::1"),
        ("0.0.0.0/0", "0.0.0.0", None),
        ("junk", "more junk", None),
        (None, None, None),
    ],
)
def test_clients(real, remote, client):
    """C28: the client is what a resolver tells of it, else who asks; junk changes nothing."""
    found = client_of({"real-remote": real, "remote": remote})
    assert found == (client and ip_address(client))
    lookup(real=real, remote=remote)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"7", b'"lookup"', b"{}", b'{"method": 7}', b'{"method": null}',
        b'{"method": "lookup"}',
        b'{"method": "lookup", "parameters": []}',
        b'{"method": "lookup", "parameters": {"qname": "registry.example.com."}}',
        b'{"method": "lookup", "parameters": {"qname": 7, "qtype": "A"}}',
        b'{"method": "lookup", "parameters": {"qname": "a.", "qtype": ["A"]}}',
        b'{"method": "getDomainInfo", "parameters": {}}',
        b'{"method": "lookup", "parameters": {"qname": "' + b"a" * 2000 + b'", "qtype": "A"}}',
        b'{"method": "lookup"}' + b" " * 20_000,
        b"[" * 10_000,
        b'{"method": "\xff"}',
        b"\xff\xfe{",
    ],
)  # fmt: skip
def test_malformed_calls(body):
    """A call that no PowerDNS makes is refused as that."""
    with pytest.raises(PowerDnsRequestInvalid):
        respond(body, ZONE, NEARNESS.rank)


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("ANY")
parameters = st.dictionaries(
    st.sampled_from(["qname", "qtype", "remote", "real-remote", "name", "kind", "zone-id"]),
    values | st.just("registry.example.com.") | st.lists(values, max_size=2),
)
methods = (
    st.sampled_from(["lookup", "initialize", "getDomainInfo", "getAllDomains", "list"]) | values
)
calls = st.fixed_dictionaries({"method": methods}, optional={"parameters": parameters | values})


@given(st.binary() | calls.map(lambda each: json.dumps(each).encode()))
@example(b'{"method": "lookup", "parameters": {"qname": "\\ud800", "qtype": "\\ud800"}}')
@example(b"1" * 5000)
def test_junk_calls(body):
    """Whatever comes, it has a result that JSON can carry, or is refused as malformed."""
    try:
        result = respond(body, ZONE, NEARNESS.rank)
    except PowerDnsRequestInvalid:
        return
    assert "result" in json.loads(json.dumps(result))
