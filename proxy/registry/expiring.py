"""aiocache's memory cache with a bound: what was put first goes first."""

from typing import Any

from aiocache import SimpleMemoryCache


class ExpiringCache(SimpleMemoryCache):  # type: ignore[misc]  # aiocache has no types
    """Holds at most *limit* entries, each for the ttl it was put with."""

    def __init__(self, limit: int) -> None:
        super().__init__(timeout=None)
        self._limit = limit

    async def _set(self, key: Any, value: Any, ttl: float | None = None, **options: Any) -> Any:
        if ttl is not None and ttl <= 0:  # aiocache would keep it without end
            return await self._delete(key)
        while key not in self._cache and len(self._cache) >= self._limit:
            await self._delete(next(iter(self._cache)))
        return await super()._set(key, value, ttl=ttl, **options)

    async def _clear(self, *arguments: Any, **options: Any) -> Any:
        for timer in self._handlers.values():  # else they'd end what is put later
            timer.cancel()
        return await super()._clear(*arguments, **options)
