"""What Python's collector of cycles looks at again and again.

The caches hold hundreds of thousands of objects that stay, in no cycle. A full collection visits
all of them while the loop waits ([M] 128 ms for 856,000). So what has survived one that took long
is looked at no more: it was just found to be no garbage, and goes when its last reference does.
"""

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

LONG_SECONDS = 0.02
OLDEST_GENERATION = 2


class LongCollections:
    """Hears of each collection. `frozen` counts those after which all was set aside."""

    def __init__(self) -> None:
        self.frozen = 0
        self._began = 0.0

    def hear(self, phase: str, info: Mapping[str, int]) -> None:
        """Take what `gc.callbacks` are told."""
        if info["generation"] != OLDEST_GENERATION:
            return
        if phase == "start":
            self._began = time.monotonic()
        elif time.monotonic() - self._began > LONG_SECONDS:
            gc.freeze()
            self.frozen += 1


@contextmanager
def long_collections_once() -> Iterator[LongCollections]:
    """Let no full collection take long twice for the same objects, as long as the block lasts."""
    heard = LongCollections()
    gc.callbacks.append(heard.hear)
    try:
        yield heard
    finally:
        gc.callbacks.remove(heard.hear)
