"""A map with a bound: what was used least recently goes first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedMap(Generic[K, V]):
    """Holds entries up to a total weight; without *weigh* each entry weighs 1."""

    def __init__(self, limit: int, weigh: Callable[[V], int] = lambda _: 1) -> None:
        self._limit = limit
        self._weigh = weigh
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._weight = 0

    def get(self, key: K) -> V | None:
        """Give an entry and count it as used."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Add or replace an entry; one that is heavier than the whole bound isn't kept."""
        self.drop(key)
        weight = self._weigh(value)
        if weight > self._limit:
            return
        self._entries[key] = value
        self._weight += weight
        while self._weight > self._limit:
            _, oldest = self._entries.popitem(last=False)
            self._weight -= self._weigh(oldest)

    def drop(self, key: K) -> None:
        """Forget an entry."""
        value = self._entries.pop(key, None)
        if value is not None:
            self._weight -= self._weigh(value)

    def drop_where(self, matches: Callable[[K], bool]) -> None:
        """Forget every entry whose key matches."""
        for key in [key for key in self._entries if matches(key)]:
            self.drop(key)

    def items(self) -> Iterator[tuple[K, V]]:
        """Give all entries, the least recently used first; this doesn't count as a use."""
        return iter(self._entries.items())

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
