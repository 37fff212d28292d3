"""What PROXY headers say: the reading alone, without a connection."""

from contextlib import suppress
from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.web.proxy_protocol import MAX_TEXT_BYTES, Header, MalformedHeader, parse
from tests.web.proxy_headers import (
    LONGEST_TAIL,
    LONGEST_UNKNOWN,
    MALFORMED,
    SPEAKS_FOR_ITSELF,
    binary_header,
    text_header,
)

PORTS = st.integers(0, 65_535)
# ::ffff:0:0/96 is IPv4 written otherwise, and has a test of its own
ADDRESSES = st.ip_addresses().filter(
    lambda address: isinstance(address, IPv4Address) or address.ipv4_mapped is None
)
ENDPOINTS = st.tuples(ADDRESSES.map(str), PORTS)
HEADERS = st.one_of(
    ENDPOINTS.map(lambda endpoint: (text_header(*endpoint), endpoint)),
    st.tuples(ENDPOINTS, st.binary(max_size=80)).map(
        lambda drawn: (binary_header(*drawn[0], drawn[1]), drawn[0])
    ),
    st.sampled_from(sorted(SPEAKS_FOR_ITSELF.values())).map(lambda header: (header, None)),
)


def _fed(data: bytes) -> tuple[Header | None, int]:
    """Give what reading byte after byte leads to, and after how many bytes."""
    for size in range(len(data) + 1):
        if (header := parse(data[:size])) is not None:
            return header, size
    return None, len(data)


@given(HEADERS, st.binary(max_size=40))
def test_what_follows_a_header_is_not_part_of_it(drawn, rest: bytes):
    """C28: source and size are the header's own, whatever comes behind it."""
    header, source = drawn
    assert parse(header + rest) == Header(len(header), source)


@given(HEADERS)
def test_a_header_may_come_in_any_pieces(drawn):
    """Every beginning of a header asks for more or gives what the whole gives, nothing else."""
    header, source = drawn
    found, size = _fed(header)
    assert found == Header(len(header), source)
    assert size <= len(header)


def _is_sound(header: Header | None, data: bytes) -> bool:
    """Say whether what a reading gave may be logged, and what it asks for is bounded."""
    if header is None:
        return len(data) < MAX_TEXT_BYTES
    if header.source is None:
        return True
    host, port = header.source
    return str(ip_address(host)) == host and "%" not in host and 0 <= port <= 65_535


@given(st.binary(max_size=300))
def test_anything_is_read_or_refused(data: bytes):
    """Bytes of any kind give a header, a bounded wish for more, or MalformedHeader."""
    with suppress(MalformedHeader):
        assert _is_sound(parse(data), data)


@given(HEADERS, st.data())
def test_a_damaged_header_names_nobody_unreadable(drawn, data):
    """T20: whatever becomes of a header, an address that it gives is one as ipaddress writes it."""
    header, _ = drawn
    at = data.draw(st.integers(0, len(header) - 1))
    damage = data.draw(st.binary(min_size=1, max_size=4))
    damaged = header[:at] + damage + header[at + 1 :] + bytes(400)
    with suppress(MalformedHeader):
        assert _is_sound(parse(damaged), damaged)


@pytest.mark.parametrize("name", SPEAKS_FOR_ITSELF)
def test_a_header_without_a_client_leaves_the_peer(name: str):
    """LOCAL, UNKNOWN, UNSPEC and what isn't TCP are good headers that name nobody."""
    header = SPEAKS_FOR_ITSELF[name]
    assert parse(header) == Header(len(header), None)


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_header_is_refused(name: str):
    """C28: nothing is guessed: what isn't exactly a header ends the connection."""
    with pytest.raises(MalformedHeader):
        parse(MALFORMED[name])


def test_the_longest_line_is_107_bytes():
    """Version 1: 107 bytes with their end are read; 107 without it are refused at once."""
    assert len(LONGEST_UNKNOWN) == MAX_TEXT_BYTES == 107
    assert parse(LONGEST_UNKNOWN) is not None
    assert parse(LONGEST_UNKNOWN[:-1]) is None
    with pytest.raises(MalformedHeader):
        parse(LONGEST_UNKNOWN[:-1] + b"x")


def test_a_long_tail_is_not_waited_for():
    """Version 2: the client is known from the addresses; 64 KiB of TLVs needn't be held."""
    header = binary_header("203.0.113.9", 7, bytes(LONGEST_TAIL - 12))
    assert len(header) == 16 + LONGEST_TAIL
    assert parse(header[:28]) == Header(len(header), ("203.0.113.9", 7))
    assert parse(header[:27]) is None


@pytest.mark.parametrize("write", [text_header, binary_header])
def test_ipv4_within_ipv6_is_ipv4(write):
    """One client has one address in the log, however the front end writes it."""
    found = parse(write("::ffff:203.0.113.9"))
    assert found is not None
    assert found.source == ("203.0.113.9", 40_000)
