"""Repository names, tags, references."""

import pytest
from hypothesis import given

from proxy.oci.digest import Digest
from proxy.oci.errors import DigestInvalid, ManifestUnknown, NameInvalid, RegistryError
from proxy.oci.reference import (
    Reference,
    Repository,
    Tag,
    parse_reference,
    split_reference,
)
from tests.oci.strategies import references, repositories

DIGEST = str(Digest.of(b""))


@given(reference=references)
def test_reference_is_read_back(reference: Reference) -> None:
    """A tag stays a tag, a digest a digest."""
    found = parse_reference(str(reference))
    assert found == reference
    assert type(found) is type(reference)


@pytest.mark.parametrize(
    "name", ["a", "0", "a/b", "a.b", "a_b", "a__b", "a-b", "a---b", "a/blobs/b", "a" * 255]
)
def test_name_of_the_grammar_is_taken(name: str) -> None:
    """The spec's grammar names these."""
    assert Repository.parse(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/..",
        "a/../b",
        "A",
        "a/B",
        "a..b",
        "a___b",
        "a._b",
        ".a",
        "a.",
        "-a",
        "a-",
        "_a",
        "a b",
        "a\n",
        "\na",
        "a\x00",
        "a:b",
        "a@b",
        "a%2fb",
        "\u00e4",
        "a\u0661",
        "a" * 256,
        "-" * 10_000,
    ],
)
def test_name_outside_the_grammar_is_refused(name: str) -> None:
    """C11: what the spec's grammar doesn't name is no repository."""
    with pytest.raises(NameInvalid):
        Repository.parse(name)


@pytest.mark.parametrize("tag", ["a", "_", "A.b-c_d", "9", "a" * 128])
def test_tag_of_the_grammar_is_taken(tag: str) -> None:
    """The spec's grammar names these."""
    assert Tag.parse(tag) == tag


@pytest.mark.parametrize(
    "tag", ["", ".", "..", "-a", ".a", "a/b", "a b", "a\n", "a\x00", "a%20", "\u00e4", "a" * 129]
)
def test_other_tag_does_not_exist(tag: str) -> None:
    """C11: what can't be a tag is answered as one that doesn't exist."""
    with pytest.raises(ManifestUnknown):
        Tag.parse(tag)


@pytest.mark.parametrize(
    ("text", "name", "reference"),
    [
        ("app", "app", "latest"),
        ("app:1.0", "app", "1.0"),
        ("team/app", "team/app", "latest"),
        ("team/app:1.0", "team/app", "1.0"),
        (f"team/app@{DIGEST}", "team/app", DIGEST),
        (f"team/app:1.0@{DIGEST}", "team/app", DIGEST),
        ("registry.example.com/team/app:1.0", "team/app", "1.0"),
        ("registry.example.com:5000/app", "app", "latest"),
        (f"registry.example.com:5000/app@{DIGEST}", "app", DIGEST),
        ("localhost/app", "app", "latest"),
        ("localhost:5000/team/app:1", "team/app", "1"),
        ("127.0.0.1:5000/app:1", "app", "1"),
        ("[::1]:5000/app:1", "app", "1"),
        ("localhost", "localhost", "latest"),
        ("a.b/c.d/e:f", "c.d/e", "f"),
    ],
)
def test_written_reference_is_taken_apart(text: str, name: str, reference: str) -> None:
    """A host is what has a dot, a port, or is localhost; a digest goes before a tag."""
    found, what = split_reference(text)
    assert (found, str(what)) == (name, reference)
    assert isinstance(what, Digest if ":" in reference else Tag)


@given(name=repositories, reference=references)
def test_any_reference_is_taken_apart(name: Repository, reference: Reference) -> None:
    """Host, name and tag or digest of any image are told apart."""
    separator = "@" if isinstance(reference, Digest) else ":"
    written = f"registry.example.com:5000/{name}{separator}{reference}"
    assert split_reference(written) == (name, reference)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", NameInvalid),
        (":", NameInvalid),
        ("@", NameInvalid),
        ("App", NameInvalid),
        ("host:5000/", NameInvalid),
        ("https://registry.example.com/app", NameInvalid),
        ("app:.", ManifestUnknown),
        ("app:1:2", DigestInvalid),
        ("app@", DigestInvalid),
        ("app@latest", DigestInvalid),
        ("app@sha256:abc", DigestInvalid),
        (f"app@{DIGEST}@{DIGEST}", DigestInvalid),
        (f"app@{DIGEST}\n", DigestInvalid),
    ],
)
def test_what_names_no_image_is_refused(text: str, error: type[RegistryError]) -> None:
    """What people write wrong is told, never guessed at."""
    with pytest.raises(error):
        split_reference(text)
