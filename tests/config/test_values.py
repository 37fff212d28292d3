"""Settings' values and their text."""

from collections.abc import Callable
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import Address, Secret
from config.values import parse_address, parse_duration, parse_host, parse_origin, parse_size

UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
UNIT_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


def is_read(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


@given(number=st.integers(0, 10**6), unit=st.sampled_from(sorted(UNIT_SECONDS)))
def test_duration_is_number_times_unit(number: int, unit: str) -> None:
    """A whole number with a unit is that many of the unit, in seconds."""
    assert parse_duration(f"{number}{unit}") == pytest.approx(number * UNIT_SECONDS[unit])


@given(thousandths=st.integers(0, 10**6))
def test_duration_may_have_a_fraction(thousandths: int) -> None:
    """Decimals of a second and whole milliseconds are the same duration."""
    text = f"{thousandths // 1000}.{thousandths % 1000:03}s"
    assert parse_duration(text) == pytest.approx(parse_duration(f"{thousandths}ms"))


@given(number=st.integers(0, 10**6), unit=st.sampled_from(sorted(UNIT_BYTES)))
def test_size_is_number_times_unit(number: int, unit: str) -> None:
    """KiB counts in 1024s, KB in 1000s, and a number alone is bytes."""
    assert parse_size(f"{number}{unit}") == number * UNIT_BYTES[unit]
    assert parse_size(str(number)) == number


@given(ip=st.ip_addresses(), port=st.integers(0, 65_535))
def test_address_round_trip(ip: object, port: int) -> None:
    """An address, IPv4 or IPv6, is read back from its text as the same address."""
    address = Address(str(ip), port)
    assert parse_address(str(address)) == address
    assert address.ip == ip_address(str(ip))


@pytest.mark.parametrize("text", ["127.0.0.1:5001", "[::]:443", "0.0.0.0:0", "[fd00::1%eth0]:80"])
def test_address_text_is_kept(text: str) -> None:
    """The text of an address is the one it was read from."""
    assert str(parse_address(text)) == text


NOT_DURATIONS = ["", "60", "s", "-1s", "1 s", "1S", "1d", "1h30m", "1.s", "1s\n", "\u0661s"]
NOT_SIZES = ["", "KiB", "-1", "1.5GiB", "1kb", "1 MiB", "1MiB ", "1e3", "inf"]
NOT_ADDRESSES = [
    "foo",
    ":80",
    "foo:80",
    "10.0.0.5",
    "10.0.0.5:",
    "10.0.0.5:65536",
    "10.0.0.5:+80",
    "10.0.0:80",
    "010.0.0.5:80",
    "::1:80",
    "[::1]",
    "[10.0.0.5]:80",
    "http://10.0.0.5:80",
]
NOT_HOSTS = ["", "a b", "a/b", "a:", "a:0", "-a", "a..b", "[::1", "10.0.0.999", "a@b", "a\n"]
NOT_ORIGINS = [
    "a.example",
    "ftp://a",
    "http://",
    "http://a/b",
    "http://a//",
    "http://a?x",
    "http://a#",
    "http://u:p@a",
    "http://u@a",
    "http://a:99999",
]


@pytest.mark.parametrize(
    ("parse", "texts"),
    [
        (parse_duration, NOT_DURATIONS),
        (parse_size, NOT_SIZES),
        (parse_address, ["", "1.2.3.4:80\n", *NOT_ADDRESSES]),
        (parse_host, NOT_HOSTS),
        (parse_origin, ["", " http://a", "http://a\n.b", *NOT_ORIGINS]),
    ],
)
def test_other_texts_are_refused(parse: Callable[[str], object], texts: list[str]) -> None:
    """A text that isn't fully of the form is refused, never read in part."""
    assert [text for text in texts if is_read(parse, text)] == []


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Registry.Example.com/", "https://registry.example.com"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("http://[0:0::1]:5000", "http://[::1]:5000"),
    ],
)
def test_origin_has_one_form(text: str, origin: str) -> None:
    """Two ways to write an origin are one text afterwards, so that texts can be compared."""
    assert parse_origin(text) == origin


def test_secret_is_never_shown() -> None:
    """No way of printing a secret, or what holds it, shows its text."""
    secret = Secret("hunter2")
    assert {str(secret), repr(secret), f"{secret}", "%s" % secret} == {"***"}  # noqa: UP031
    assert "hunter2" not in repr([secret, {secret: secret}])
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2") != Secret("hunter3")
