"""What is answered without asking: content that is absent, for a moment, or wrong, for longer.

Content that didn't have its digest is fetched once more, from scratch; after that it is refused for
a while, so that a primary which lies doesn't cost the link a download for each pull.
"""

from proxy.oci.digest import Digest
from proxy.oci.errors import Absent, ContentMismatch, RegistryError
from proxy.oci.request import Pull
from proxy.registry.expiring import ExpiringCache
from proxy.registry.store import pulled_digest

ABSENT_SECONDS = 2.0
MISMATCH_SECONDS = 30.0
MAX_REMEMBERED = 10_000


class Negatives:
    """Remembers bad answers, each for its time."""

    def __init__(self) -> None:
        self._absent = ExpiringCache(MAX_REMEMBERED)
        self._suspect = ExpiringCache(MAX_REMEMBERED)
        self._wrong = ExpiringCache(MAX_REMEMBERED)

    async def raise_if_known(self, pull: Pull) -> None:
        """Return unless *pull* would end badly again.

        Raises: Absent, ContentMismatch.
        """
        known: RegistryError | None = await self._absent.get((pull.repository, pull.path))
        if known is None:
            known = await self._wrong.get(pulled_digest(pull))
        if known is not None:
            raise known.with_traceback(None)

    async def note_absent(self, pull: Pull, error: Absent) -> None:
        """Remember that the primary has no such thing in this repository."""
        await self._absent.set((pull.repository, pull.path), error, ttl=ABSENT_SECONDS)

    async def note_mismatch(self, digest: Digest, error: ContentMismatch) -> None:
        """Remember that what came wasn't what *digest* names; the second time in a row counts."""
        is_second = await self._suspect.get(digest) is not None
        remembered = self._wrong if is_second else self._suspect
        await remembered.set(digest, error, ttl=MISMATCH_SECONDS)

    async def forget_absent(self) -> None:
        """Drop what is remembered as absent: something was pushed."""
        await self._absent.clear()
