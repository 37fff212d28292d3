"""What records of several vendors say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.known import country_centres
from geo.place import Place, place_in

SWEDEN = country_centres()["SE"]
LINKOPING = (58.4, 15.6)
TEXTS = {"lat": "58.4", "lng": "15.6"}
NESTED = {"location": {"latitude": 58.4, "longitude": 15.6}, "country": {"iso_code": "SE"}}


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({**NESTED, "city": {"names": {"en": "Linköping", "sv": "x"}}},
         (LINKOPING, "Linköping, SE", False)),
        (NESTED, (LINKOPING, "SE", False)),
        ({"location": {"latitude": 58.4, "longitude": 15.6}}, (LINKOPING, "", False)),
        ({"country": {"iso_code": "SE", "names": {"en": "Sweden"}}}, (SWEDEN, "SE", True)),
        ({"registered_country": {"iso_code": "SE"}}, (SWEDEN, "SE", True)),
        ({"country_code": "SE", "country": "Sweden"}, (SWEDEN, "SE", True)),
        ({"country": "se"}, (SWEDEN, "SE", True)),
        ({"city": "Linköping", "country": "SE", **TEXTS},
         (LINKOPING, "Linköping, SE", False)),
        ({"country_code": "SE", "latitude": "58.4", "longitude": "15.6"},
         (LINKOPING, "SE", False)),
        ({"country_code": "SE", "lat": 58, "lon": 15.6}, ((58.0, 15.6), "SE", False)),
        # What isn't one is no point, and the country's middle is left.
        ({"location": {"latitude": 0, "longitude": 0.0}, "country_code": "SE"},
         (SWEDEN, "SE", True)),
        ({"location": {"latitude": 158.4, "longitude": 15.6}, "country_code": "SE"},
         (SWEDEN, "SE", True)),
        ({"location": {"latitude": 58.4}, "country_code": "SE"}, (SWEDEN, "SE", True)),
        ({"location": {"latitude": True, "longitude": 1}, "country_code": "SE"},
         (SWEDEN, "SE", True)),
        ({"lat": "nan", "lng": "inf", "country_code": "SE"}, (SWEDEN, "SE", True)),
        ({"location": {"time_zone": "Asia/Tokyo"}, **TEXTS}, (LINKOPING, "", False)),
        ({"city": "\\x1b[31m\x1b[31m", "country": "SE", **NESTED}, (LINKOPING, "SE", False)),
        ({"country_code": "ZZ"}, None),
        ({"country": "Sweden"}, None),
        ({"autonomous_system_number": 1221}, None),
        ({}, None),
        (None, None),
        (["SE"], None),
        ("SE", None),
    ],
)  # fmt: skip
def test_records(record, place):
    """Nested or flat, numbers or text: a record gives its point, else its country's middle."""
    assert place_in(record) == (place and Place(*place))


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["location", "latitude", "longitude", "lat", "lng", "country", "iso_code",
                         "city", "names", "en", "country_code"]),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@given(junk)
def test_junk_records(record):
    """Whatever a record holds, it gives a place on Earth or none."""
    place = place_in(record)
    assert place is None or place.coordinates.is_on_earth
