"""Manifests: bytes, digest and header together, and the descriptors that they name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.descriptor import Descriptor
from proxy.oci.digest import Algorithm, Digest
from proxy.oci.errors import DigestInvalid, ManifestInvalid
from proxy.oci.manifest import (
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    check_manifest,
    children_of,
    subject_of,
)
from tests.oci.documents import (
    ARTIFACT,
    CONFIG,
    IMAGE,
    INDEX,
    LAYERS,
    MANIFESTS,
    NEITHER,
    Document,
    descriptor,
    encoded,
)


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("header", [OCI_MANIFEST, f"{OCI_MANIFEST}; charset=utf-8"])
def test_manifest_that_agrees_is_taken(algorithm: Algorithm, header: str) -> None:
    """Bytes, digest and header that agree give the descriptor, and the bytes as they came."""
    data = json.dumps(IMAGE, indent=7).encode()
    digest = Digest.of(data, algorithm)
    manifest = check_manifest(data, digest, header)
    assert manifest.descriptor == Descriptor(OCI_MANIFEST, digest, len(data))
    assert manifest.data == data


@pytest.mark.parametrize(
    "header", ["", OCI_INDEX, DOCKER_MANIFEST, "application/json", "text/html", f"x{OCI_MANIFEST}"]
)
def test_header_that_disagrees_is_refused(header: str) -> None:
    """C19: a Content-Type other than the document's own is refused before anything is stored."""
    data = encoded(IMAGE)
    with pytest.raises(ManifestInvalid):
        check_manifest(data, Digest.of(data), header)


@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_wrong_bytes_are_refused(position: int, flip: int) -> None:
    """C1: one bit changed anywhere is another manifest."""
    data = bytearray(encoded(IMAGE))
    digest = Digest.of(bytes(data))
    data[position % len(data)] ^= flip
    with pytest.raises(DigestInvalid):
        check_manifest(bytes(data), digest, OCI_MANIFEST)


def as_value(entry: Document) -> Descriptor:
    return Descriptor(entry["mediaType"], Digest.parse(entry["digest"]), entry["size"])


@pytest.mark.parametrize(
    ("document", "children"),
    [
        (IMAGE, [CONFIG, *LAYERS]),
        ({**IMAGE, "subject": descriptor("subject")}, [CONFIG, *LAYERS]),
        (INDEX, MANIFESTS),
        (ARTIFACT, LAYERS),
        (NEITHER, []),
        ({"layers": [LAYERS[0], LAYERS[0]]}, [LAYERS[0], LAYERS[0]]),
        ({"layers": [{**LAYERS[0], "size": 0}]}, [{**LAYERS[0], "size": 0}]),
    ],
)
def test_children_are_the_descriptors(document: Document, children: list[Document]) -> None:
    """Config, layers, blobs and manifests are children, in their order; the subject is none."""
    assert children_of(encoded(document)) == tuple(map(as_value, children))


@pytest.mark.parametrize(
    "entry",
    [
        None,
        1,
        "sha256",
        [],
        {},
        {**CONFIG, "digest": "sha256:short"},
        {**CONFIG, "digest": None},
        {**CONFIG, "digest": CONFIG["digest"] + "\n"},
        {**CONFIG, "size": "6"},
        {**CONFIG, "size": 6.0},
        {**CONFIG, "size": -1},
        {**CONFIG, "size": True},
        {**CONFIG, "size": 1e999},
        {**CONFIG, "size": 2**63},
        {**CONFIG, "mediaType": 1},
        {"digest": CONFIG["digest"], "size": 6},
    ],
)
def test_malformed_entry_is_left_out(entry: object) -> None:
    """An entry that is no well-formed descriptor is no child, no subject, and hides no other."""
    data = json.dumps({"config": entry, "layers": [entry, LAYERS[0], entry], "subject": entry})
    data = data.replace("Infinity", "1e999")
    assert children_of(data.encode()) == (as_value(LAYERS[0]),)
    assert subject_of(data.encode()) is None


@pytest.mark.parametrize("value", [None, 1, "a", {"digest": CONFIG["digest"]}, True])
def test_list_that_is_none_has_no_children(value: object) -> None:
    """`layers`, `manifests` and `blobs` that are no lists have no entries."""
    for key in ("layers", "manifests", "blobs"):
        assert children_of(encoded({key: value})) == ()


def test_subject_is_read() -> None:
    """The subject's digest is given, also for a manifest that doesn't exist here."""
    subject = descriptor("somewhere", OCI_MANIFEST)
    assert subject_of(encoded({**IMAGE, "subject": subject})) == Digest.parse(subject["digest"])
    assert subject_of(encoded(IMAGE)) is None
