"""Origins and addresses: where requests may go, and that nothing goes anywhere else (T17)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.net.origins import Origin, TrustedOrigins
from proxy.oci.errors import UntrustedOrigin

PRIMARY = "https://registry.example.com"


@pytest.mark.parametrize(
    ("url", "origin", "text"),
    [
        (PRIMARY, Origin("https", "registry.example.com", 443), PRIMARY),
        (f"{PRIMARY}/", Origin("https", "registry.example.com", 443), PRIMARY),
        (f"{PRIMARY}:443/v2/?a#b", Origin("https", "registry.example.com", 443), PRIMARY),
        ("HTTPS://Registry.Example.COM", Origin("https", "registry.example.com", 443), PRIMARY),
        ("http://a", Origin("http", "a", 80), "http://a"),
        ("http://a:80", Origin("http", "a", 80), "http://a"),
        ("http://a:443", Origin("http", "a", 443), "http://a:443"),
        ("https://a:80", Origin("https", "a", 80), "https://a:80"),
        ("http://[::1]:5000/x", Origin("http", "::1", 5000), "http://[::1]:5000"),
        ("http://[FD00::1]", Origin("http", "fd00::1", 80), "http://[fd00::1]"),
        ("http://10.0.0.1:5000", Origin("http", "10.0.0.1", 5000), "http://10.0.0.1:5000"),
    ],
)
def test_origin_of_a_url(url: str, origin: Origin, text: str) -> None:
    """Scheme, host and port of a URL, with the port that isn't said; the port is left out of the
    Host header where it is the scheme's own.
    """
    assert Origin.of(url) == origin
    assert str(origin) == text
    assert origin.authority == text.partition("://")[2]
    assert Origin.of(str(origin)) == origin


NOT_URLS = [
    "",
    "registry.example.com",
    "/token",
    "//registry.example.com/",
    "https:/registry.example.com",
    "https:registry.example.com",
    "https://",
    "https:///token",
    "https://:443/",
    "ftp://registry.example.com",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "unix:///run/x.sock",
    "http+unix://x",
    "https://user@registry.example.com",
    "https://user:secret@registry.example.com",
    "https://@registry.example.com",
    "https://registry.example.com@evil.example.com",
    "https://registry.example.com:443@evil.example.com",
    "https://evil.example.com\\@registry.example.com",
    "https://registry.example.com:x/",
    "https://registry.example.com:65536/",
    "https://registry.example.com:-1/",
    "https://registry.example.com:0/",
    "http://[::1",
    "http://::1]/",
]


@pytest.mark.parametrize("url", NOT_URLS)
def test_what_has_no_origin(url: str) -> None:
    """C13: a URL of another kind, without a host, or with user info has no origin."""
    with pytest.raises(ValueError):  # noqa: PT011  # urlsplit has words of its own
        Origin.of(url)
    with pytest.raises(UntrustedOrigin, match="some setting"):
        TrustedOrigins([Origin.of(PRIMARY)], "some setting").check(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://registry.example.com",
        "https://registry.example.com:444/",
        "https://registry.example.com:80/",
        "https://registry.example.com./",
        "https://registry.example.com.evil.example.com/",
        "https://evil-registry.example.com/",
        "https://evil.example.com/registry.example.com",
        "https://evil.example.com/?https://registry.example.com",
        "https://evil.example.com#@registry.example.com",
        "https://evil.example.com\\.registry.example.com/",
        "https://registry.example.com%2eevil.example.com/",
        "https://registry.example.com%00.evil.example.com/",
        "https://registry\u3002example.com/",
        "https://reg\u00adistry.example.com/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://169.254.169.254/latest/meta-data/",
        "https://0.0.0.0/",
        "https://[::]/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://017700000001/",
        "https://127.1/",
    ],
)
def test_other_origins_are_refused(url: str) -> None:
    """C13: only exactly the origins that the settings name may be spoken to; the refusal names the
    setting that would allow another.
    """
    trusted = TrustedOrigins([Origin.of(PRIMARY)], "primary.trusted_origins")
    with pytest.raises(UntrustedOrigin, match=r"primary\.trusted_origins"):
        trusted.check(url)
    assert trusted.check(f"{PRIMARY}/token?a=b") == Origin.of(PRIMARY)


@given(url=st.text(max_size=80) | st.text("htps:/@[]\\.#?%0123456789abx\t\r\n ", max_size=60))
def test_any_text_is_an_origin_or_none(url: str) -> None:
    """C13: no text makes the check fail in another way than by its refusal, and nothing but the
    trusted origin passes.
    """
    trusted = TrustedOrigins([Origin.of("http://a")], "x")
    try:
        assert trusted.check(url) == Origin("http", "a", 80)
    except UntrustedOrigin as error:
        assert len(error.message) <= 256  # noqa: PT017


def test_long_origin_is_cut_in_the_message() -> None:
    """What the primary points to is bounded in what we say of it."""
    with pytest.raises(UntrustedOrigin) as raised:
        TrustedOrigins([], "x").check(f"https://{'a' * 10_000}.example.com/")
    assert len(raised.value.message) <= 256
    assert "which x does not name" in raised.value.message
