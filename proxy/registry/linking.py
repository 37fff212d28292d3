"""What is being linked: so that nobody takes the bytes away meanwhile."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from proxy.oci.digest import Digest


class Linking:
    """Knows the digests that are about to be linked, and tells those who watch."""

    def __init__(self) -> None:
        self._now: Counter[Digest] = Counter()
        self._watchers: dict[int, set[Digest]] = {}

    @contextmanager
    def about_to(self, digest: Digest) -> Iterator[None]:
        """Say that a digest is being linked, as long as that takes."""
        self._now[digest] += 1
        for seen in self._watchers.values():
            seen.add(digest)
        try:
            yield
        finally:
            self._now[digest] -= 1
            if not self._now[digest]:
                del self._now[digest]

    @contextmanager
    def watched(self) -> Iterator[set[Digest]]:
        """Give a set of all that is being linked now, which gains what comes, while it lasts."""
        seen = set(self._now)
        self._watchers[id(seen)] = seen
        try:
            yield seen
        finally:
            del self._watchers[id(seen)]
