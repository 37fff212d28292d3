"""Who asks the primary when something is fetched: our own identity if it may, else a caller."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from proxy.net.weather import LinkWeather
from proxy.oci.caller import REPLICA
from proxy.oci.digest import Digest
from proxy.oci.errors import Absent, Denied, RegistryError, Unauthorized
from proxy.oci.request import BlobPull, ManifestPull, Pull
from proxy.oci.span import RangeRequest
from proxy.registry.primary import Fetched, Primary
from proxy.registry.puller import Resolution, Stream

P = TypeVar("P", BlobPull, ManifestPull, Pull)
T = TypeVar("T")


class Fetcher:
    """Fetches from the primary for the store, never with more rights than somebody here has."""

    def __init__(self, primary: Primary, *, has_own_identity: bool) -> None:
        self._primary = primary
        self._has_own_identity = has_own_identity

    async def first(self, pulls: Sequence[P], ask: Callable[[P], Awaitable[T]]) -> T:
        """Give the first answer that isn't a refusal.

        Raises: Absent, Unauthorized, Denied: what the last one who asked was told. Unavailable.
        """
        error: RegistryError = Unauthorized(error="invalid_token")
        for pull in self._in_order(pulls):
            try:
                return await ask(pull)
            except (Unauthorized, Denied, Absent) as exc:
                error = exc
        raise error

    def _in_order(self, pulls: Sequence[P]) -> Iterator[P]:
        if self._has_own_identity:
            yield from dict.fromkeys(replace(pull, caller=REPLICA) for pull in pulls)
        yield from pulls

    async def resolve(self, pull: Pull) -> Resolution:
        """Ask what *pull* leads to; see `Puller.resolve`."""
        return await self.first((pull,), self._primary.resolve)

    async def manifest(self, pull: ManifestPull) -> Fetched:
        """Fetch a manifest; see `Primary.manifest`."""
        return await self.first((pull,), self._primary.manifest)

    async def is_changed(self, pull: ManifestPull, known: Digest) -> Resolution | None:
        """Ask what a tag names now; None if it is still *known*."""
        return await self.first((pull,), lambda each: self._primary.is_changed(each, known))

    async def open(self, pull: BlobPull, part: RangeRequest | None) -> Stream:
        """Ask for a blob or a part of it, as this very caller; see `Primary.open_blob`."""
        return await self._primary.open_blob(pull, part)

    @property
    def weather(self) -> LinkWeather:
        """What transfers were like lately."""
        return self._primary.link.weather

    def note_break(self) -> None:
        """Note that a transfer broke, so that the next one takes another address."""
        self._primary.link.note_break()
