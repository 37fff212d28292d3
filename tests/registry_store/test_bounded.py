"""The bounded map against a plain model of it."""

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.registry.bounded import BoundedMap

KEYS = st.integers(0, 6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(0, 12)),
        st.tuples(st.just("get"), KEYS, st.just(0)),
        st.tuples(st.just("drop"), KEYS, st.just(0)),
        st.tuples(st.just("drop_where"), KEYS, st.just(0)),
    ),
    max_size=60,
)


class Model:
    """The same rules, written for reading: least recently used first, until the sum fits."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.entries: OrderedDict[int, int] = OrderedDict()

    def put(self, key: int, weight: int) -> None:
        self.entries.pop(key, None)
        if weight > self.limit:
            return
        self.entries[key] = weight
        while sum(self.entries.values()) > self.limit:
            self.entries.popitem(last=False)

    def get(self, key: int, _: int) -> int | None:
        if key in self.entries:
            self.entries.move_to_end(key)
        return self.entries.get(key)

    def drop(self, key: int, _: int) -> None:
        self.entries.pop(key, None)

    def drop_where(self, key: int, _: int) -> None:
        self.entries = OrderedDict((k, v) for k, v in self.entries.items() if k <= key)


@given(limit=st.integers(1, 20), steps=STEPS)
def test_holds_what_the_model_holds_in_the_same_order(limit, steps):
    """After any steps the map has the model's entries, in the order in which they would go."""
    real: BoundedMap[int, int] = BoundedMap(limit, lambda weight: weight)
    model = Model(limit)
    for verb, key, weight in steps:
        match verb:
            case "put":
                real.put(key, weight)
            case "get":
                assert real.get(key) == model.get(key, 0)
                continue
            case "drop":
                real.drop(key)
            case _:
                real.drop_where(lambda each, key=key: each > key)
        getattr(model, verb)(key, weight)
    assert list(real) == list(model.entries)
    assert len(real) == len(model.entries)
    assert {key: real.get(key) for key in model.entries} == dict(model.entries)


@pytest.mark.parametrize("count", [3, 1000])
def test_without_weights_the_bound_is_a_number_of_entries(count):
    """The latest *limit* entries stay, whatever their size."""
    bounded: BoundedMap[int, str] = BoundedMap(3)
    for key in range(count):
        bounded.put(key, "x" * key)
    assert list(bounded) == [count - 3, count - 2, count - 1]


def test_an_entry_that_is_replaced_weighs_once():
    """Replacing frees the old weight: otherwise the map would shrink over time."""
    bounded: BoundedMap[str, int] = BoundedMap(10, lambda weight: weight)
    for weight in (9, 1, 9, 1):
        bounded.put("same", weight)
    bounded.put("other", 9)
    assert set(bounded) == {"same", "other"}
