"""Wire forms, whatever is sent: read or refused, and what is read keeps to its own schema."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from hub.errors import Invalid
from hub.history.forms import Entry, Report
from hub.instances.forms import Creation
from hub.wire.reading import Others, read
from hub.wire.schema import Schemas
from hub.wire.writing import plain
from tests.hub.api import entry

FORMS = (Creation, Report, Entry)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["complete", "running", "image", "event", "ap-tokyo", "all", "a" * 300])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from(["status", "state", "entries", "region"]), inner
        )
    ),
    max_leaves=12,
)
WHOLE = {
    Creation: {
        "region": "ap-tokyo",
        "replication": {
            "repositories": ["**"],
            "tags": ["**"],
            "platforms": ["linux/amd64"],
            "bandwidth_bytes": 0,
            "concurrent": 8,
            "backfill": {"policy": "all", "newest": 10},
        },
    },
    Report: {"status": {"state": "running", "cursor": "0" * 16 + ":7"}, "entries": [entry()]},
    Entry: entry(),
}


def paths(document: object, before: tuple = ()) -> list[tuple]:
    """Give the places of everything in a document."""
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document if isinstance(document, list) else ())
    )
    inner = [place for key, value in items for place in paths(value, (*before, key))]
    return [before, *inner]


@st.composite
def documents(draw, form):
    """A good document of a form in which some places hold something else."""
    document = json.loads(json.dumps(WHOLE[form]))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from([each for each in paths(document) if each]))
        inner = document
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = draw(ANYTHING)
    return document


SCHEMAS = Schemas()
VALIDATORS = {}
for each in FORMS:
    reference = SCHEMAS.of(each)
    VALIDATORS[each] = OAS31Validator({**reference, "components": {"schemas": SCHEMAS.components}})


@settings(deadline=None)
@given(form=st.sampled_from(FORMS), data=st.data())
def test_whatever_is_sent_is_read_or_refused(form, data):
    """No document does anything but be read, as its schema has it, or be refused in words."""
    others = data.draw(st.sampled_from(Others))
    document = data.draw(documents(form) | ANYTHING)
    try:
        found = read(form, document, others)
    except Invalid as refused:
        said = refused.message
    else:
        said = "nothing"
        keeps_to_its_schema(form, found)
    assert said.isprintable()


def keeps_to_its_schema(form, found) -> None:
    """What was read is written as the schema has it, and read again as the same."""
    written = plain(found)
    VALIDATORS[form].validate(written)
    json.dumps(written, allow_nan=False).encode()
    assert read(form, written) == found


def test_the_whole_documents_are_good():
    """What the documents above are made of is read, and valid: more than refusal is seen."""
    for form, document in WHOLE.items():
        VALIDATORS[form].validate(plain(read(form, document)))
        assert VALIDATORS[form].is_valid(document)
    assert not VALIDATORS[Entry].is_valid({**entry(), "state": "done"})
