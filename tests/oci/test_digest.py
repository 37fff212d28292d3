"""Digests."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.digest import Algorithm, Digest
from proxy.oci.errors import DigestInvalid
from tests.oci.strategies import digests

HEX = "0123456789abcdef" * 4


@given(digest=digests)
def test_digest_is_read_back(digest: Digest) -> None:
    """A digest is read back from its text as the same value."""
    assert Digest.parse(str(digest)) == digest


@given(data=st.binary(), algorithm=st.sampled_from(Algorithm))
def test_digest_is_the_hash(data: bytes, algorithm: Algorithm) -> None:
    """A digest of bytes is what hashlib says, and matches those bytes alone."""
    digest = Digest.of(data, algorithm)
    assert str(digest) == f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    assert digest.matches(data)
    assert not digest.matches(data + b"\0")


BROKEN = [
    "",
    "sha256",
    "sha256:",
    f"sha256:{HEX[:-1]}",
    f"sha256:{HEX}0",
    f"sha256:{HEX}\n",
    f"\nsha256:{HEX}",
    f" sha256:{HEX}",
    f"sha256:{HEX.upper()}",
    f"SHA256:{HEX}",
    f"sha256:{HEX[:-1]}g",
    f"sha256:{HEX[:-1]}\u0661",
    f"sha256:{HEX[:-1]}\x00",
    f"sha256:{HEX[:-1]}/",
    f"sha256:../{HEX[3:]}",
    f"sha256:{HEX}:{HEX}",
    f"sha256%3A{HEX}",
    f"sha512:{HEX}",
    f"sha256:{HEX}{HEX}",
    f"sha384:{HEX}{HEX[:32]}",
    "md5:d41d8cd98f00b204e9800998ecf8427e",
    f"tarsum+sha256:{HEX}",
    f"sha256+b64:{HEX}",
]


@pytest.mark.parametrize("text", BROKEN)
def test_all_but_the_grammar_is_refused(text: str) -> None:
    """C11: a digest with anything wrong in it or around it is no digest."""
    with pytest.raises(DigestInvalid):
        Digest.parse(text)


@given(digest=digests, junk=st.text(min_size=1, max_size=3), position=st.integers(0, 140))
def test_nothing_fits_into_a_digest(digest: Digest, junk: str, position: int) -> None:
    """C11: no text put anywhere into a digest makes another digest."""
    text = str(digest)
    with pytest.raises(DigestInvalid):
        Digest.parse(text[:position] + junk + text[position:])
