"""Manifests: one type for the same bytes, nothing that can be read in two ways."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.errors import ManifestInvalid
from proxy.oci.manifest import (
    ACCEPT_ALL,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    MAX_MANIFEST_BYTES,
    OCI_ARTIFACT,
    OCI_INDEX,
    OCI_MANIFEST,
    children_of,
    is_manifest_type,
    media_type_of,
    subject_of,
)
from tests.oci.documents import (
    ARTIFACT,
    CONFIG,
    IMAGE,
    INDEX,
    LAYER_TYPE,
    LAYERS,
    MANIFESTS,
    NEITHER,
    Document,
    encoded,
    typed,
)

VENDOR_TYPE = "application/vnd.example.thing.v1+json"


@pytest.mark.parametrize(
    ("document", "media_type"),
    [
        (typed(IMAGE, OCI_MANIFEST), OCI_MANIFEST),
        (typed(IMAGE, DOCKER_MANIFEST), DOCKER_MANIFEST),
        (typed(INDEX, OCI_INDEX), OCI_INDEX),
        (typed(INDEX, DOCKER_LIST), DOCKER_LIST),
        (ARTIFACT, OCI_ARTIFACT),
        (typed(IMAGE, VENDOR_TYPE), VENDOR_TYPE),
        (IMAGE, OCI_MANIFEST),
        (INDEX, OCI_INDEX),
        ({"layers": []}, OCI_MANIFEST),
        ({"config": {}}, OCI_MANIFEST),
        ({"manifests": []}, OCI_INDEX),
        ({"manifests": None}, OCI_INDEX),
        (typed(IMAGE, None), OCI_MANIFEST),
        (typed(INDEX, ""), OCI_INDEX),
        (typed(NEITHER, OCI_INDEX), OCI_INDEX),
        ({**IMAGE, "subject": CONFIG, "annotations": {"manifests": "a"}}, OCI_MANIFEST),
        ({**IMAGE, "x": {"manifests": [], "mediaType": OCI_INDEX}}, OCI_MANIFEST),
        ({**IMAGE, "annotations": {"note": "\u00e4\U0001f600 \ud800"}}, OCI_MANIFEST),
    ],
)
def test_type_comes_from_the_document(document: Document, media_type: str) -> None:
    """`mediaType` says it, else `manifests` means an index, else `config` or `layers` an image."""
    assert media_type_of(encoded(document)) == media_type


AMBIGUOUS = {
    "index and image": {**INDEX, **IMAGE},
    "index and layers": {**INDEX, "layers": []},
    "index and config": {**INDEX, "config": None},
    "index that says image": typed(INDEX, OCI_MANIFEST),
    "index that says docker image": typed(INDEX, DOCKER_MANIFEST),
    "index that says artifact": typed(INDEX, OCI_ARTIFACT),
    "image that says index": typed(IMAGE, OCI_INDEX),
    "image that says list": typed(IMAGE, DOCKER_LIST),
    "image that says schema 1": typed(IMAGE, DOCKER_SCHEMA1),
    "image that says signed schema 1": typed(IMAGE, DOCKER_SCHEMA1_SIGNED),
    "schema 1": {"schemaVersion": 1, "name": "a", "fsLayers": []},
    "schema 1 that says image": {**typed(IMAGE, OCI_MANIFEST), "schemaVersion": 1},
    "no type": NEITHER,
    "empty": {},
    "type of a layer": typed(IMAGE, LAYER_TYPE),
    "any type": typed(IMAGE, "application/json"),
    "type with parameters": typed(IMAGE, f"{OCI_MANIFEST}; charset=utf-8"),
    "type with a line end": typed(IMAGE, f"{OCI_MANIFEST}\r\nX: 1"),
    "type with a newline at its end": typed(IMAGE, f"{OCI_MANIFEST}\n"),
    "type in upper case": typed(IMAGE, OCI_MANIFEST.upper()),
    "type that is a list": typed(IMAGE, [OCI_MANIFEST]),
    "type that is a number": typed(IMAGE, 2),
    "type that is false": typed(IMAGE, False),
    "mediaType in another case": {**IMAGE, "MediaType": OCI_INDEX},
    "manifests in another case": {**IMAGE, "Manifests": MANIFESTS},
    "layers in another case": {**INDEX, "LAYERS": LAYERS},
    "config in another case": {**INDEX, "conFig": CONFIG},
    "manifests with a long s": {**IMAGE, "manife\u017fts": MANIFESTS},
    "schemaVersion in another case": {**IMAGE, "schemaversion": 1},
}


@pytest.mark.parametrize("document", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_ambiguous_document_is_refused(document: Document) -> None:
    """C19: a document that two readers could take for two types is refused (CVE-2021-41190).
    Go's decoder, which most clients use, matches keys in any case.
    """
    with pytest.raises(ManifestInvalid):
        media_type_of(encoded(document))


IMAGE_TEXT = encoded(IMAGE)[1:-1]
INDEX_TEXT = encoded(INDEX)[1:-1]


REPEATED = {
    "mediaType": b'{"mediaType":"%b","mediaType":"%b",%b}'
    % (OCI_MANIFEST.encode(), DOCKER_MANIFEST.encode(), IMAGE_TEXT),
    "mediaType first and last": b'{"mediaType":"%b",%b,"mediaType":"%b"}'
    % (DOCKER_LIST.encode(), INDEX_TEXT, OCI_INDEX.encode()),
    "mediaType with an escape": b'{"mediaType":"%b","m\\u0065diaType":"%b",%b}'
    % (OCI_MANIFEST.encode(), DOCKER_MANIFEST.encode(), IMAGE_TEXT),
    "mediaType with the same value": b'{"mediaType":"%b","mediaType":"%b",%b}'
    % (OCI_MANIFEST.encode(), OCI_MANIFEST.encode(), IMAGE_TEXT),
    "layers": b'{%b,"layers":[]}' % IMAGE_TEXT,
    "manifests": b'{%b,"manifests":[]}' % INDEX_TEXT,
    "schemaVersion": b'{"schemaVersion":1,%b}' % IMAGE_TEXT,
    "digest of a descriptor": b'{"config":{"digest":"a","digest":"b"},"layers":[]}',
}


@pytest.mark.parametrize("data", REPEATED.values(), ids=REPEATED)
def test_repeated_key_is_refused(data: bytes) -> None:
    """C19: of a key that stands twice some readers take the first and some the last."""
    with pytest.raises(ManifestInvalid):
        media_type_of(data)


NOT_DOCUMENTS = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a string": b'"a"',
    "a number": b"2",
    "half": b"{",
    "a rest": encoded(IMAGE) + b"x",
    "two": encoded(IMAGE) + encoded(IMAGE),
    "a byte order mark": b"\xef\xbb\xbf" + encoded(IMAGE),
    "UTF-16": encoded(IMAGE).decode().encode("utf-16"),
    "UTF-32": encoded(IMAGE).decode().encode("utf-32-le"),
    "no UTF-8": b'{"layers":[],"a":"\xff"}',
    "a surrogate": b'{"layers":[],"a":"\xed\xa0\x80"}',
    "a control character": b'{"layers":[],"a":"\n"}',
    "NaN": b'{"layers":[],"a":NaN}',
    "Infinity": b'{"layers":[],"a":Infinity}',
    "minus Infinity": b'{"layers":[],"a":-Infinity}',
    "a leading zero": b'{"layers":[],"a":01}',
    "single quotes": b"{'layers':[]}",
    "a trailing comma": b'{"layers":[],}',
    "a NUL at the end": b'{"layers":[]}\0',
    "a number without end": b'{"layers":[],"a":' + b"9" * 5000 + b"}",
    "nested lists": b'{"layers":' + b"[" * 2_000 + b"]" * 2_000 + b"}",
    "nested objects": b'{"layers":[],"a":' + b'{"a":' * 90_000 + b"1" + b"}" * 90_000 + b"}",
    "open lists": b"[" * 1_000_000,
}


@pytest.mark.parametrize("data", NOT_DOCUMENTS.values(), ids=NOT_DOCUMENTS)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    """Only a JSON object in UTF-8 (RFC 8259) is a manifest; nesting and numbers have a bound."""
    with pytest.raises(ManifestInvalid):
        media_type_of(data)


def test_structure_is_bounded() -> None:
    """The largest manifest that may be stored, made of nothing but brackets, isn't even read; an
    index of 15,000 entries is.
    """
    brackets = b'{"layers":[' + b"{}," * (MAX_MANIFEST_BYTES // 3 - 10) + b"{}]}"
    assert len(brackets) <= MAX_MANIFEST_BYTES
    with pytest.raises(ManifestInvalid, match="too many"):
        media_type_of(brackets)
    assert media_type_of(encoded({**INDEX, "manifests": MANIFESTS * 15_000})) == OCI_INDEX


words = st.text(max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
telling_keys = st.sampled_from(["mediaType", "schemaVersion", "manifests", "layers", "config"])
types = st.sampled_from([OCI_MANIFEST, OCI_INDEX, DOCKER_LIST, DOCKER_MANIFEST, OCI_ARTIFACT, ""])
documents = st.dictionaries(telling_keys | words, types | json_values, max_size=6)


@given(document=documents, data=st.data())
def test_type_depends_on_nothing_but_the_document(document: Document, data: st.DataObject) -> None:
    """C19: order of keys, spaces and how often one asks change nothing; the answer is one of the
    types that may be served, or a refusal.
    """

    def answer(text: str) -> str | None:
        try:
            return media_type_of(text.encode())
        except ManifestInvalid:
            return None

    keys = data.draw(st.permutations(list(document)))
    shuffled = {key: document[key] for key in keys}
    found = answer(json.dumps(document))
    assert found is None or is_manifest_type(found)
    assert answer(json.dumps(document)) == answer(json.dumps(shuffled, indent=3)) == found


@given(data=st.binary(max_size=60) | st.text('{}[]":,\\u0 manifestlyr12eE+-.', max_size=60))
def test_any_bytes_are_typed_or_refused(data: bytes | str) -> None:
    """No bytes make the reader fail in another way than by ManifestInvalid."""
    raw = data.encode() if isinstance(data, str) else data
    for read in (media_type_of, children_of, subject_of):
        with contextlib.suppress(ManifestInvalid):
            read(raw)


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        *[(one, True) for one in ACCEPT_ALL.split(", ")],
        ("application/vnd.a+json", True),
        ("", False),
        ("text/html", False),
        ("application/json", False),
        ("application/octet-stream", False),
        ("application/vnd.oci.image.layer.v1.tar+gzip", False),
        ("application/vnd.a+json\n", False),
        ("application/vnd.a b+json", False),
        ("application/vnd.+json", False),
        (" application/vnd.a+json", False),
    ],
)
def test_types_that_may_be_served(media_type: str, expected: bool) -> None:
    """A manifest is never served with a type that a browser would render."""
    assert is_manifest_type(media_type) is expected
