"""What clients pull is noted: it stays longer, and while it is being sent it isn't evicted."""

from collections.abc import Callable
from functools import partial

from proxy.oci.reference import Repository
from proxy.oci.request import ManifestPull, Pull
from proxy.oci.span import RangeRequest
from proxy.registry.puller import Bytes, Content, File, ReadyPuller, Resolution
from proxy.registry.room import Room
from proxy.registry.usage import Usage


class Promoting:
    """Lets pulls through, and notes what they lead to."""

    def __init__(self, inner: ReadyPuller, usage: Usage, room: Room) -> None:
        self._inner = inner
        self._usage = usage
        self._room = room
        self.on_pulled: Callable[[Repository, Bytes], None] = lambda *_: None
        """Told of each manifest that a client pulled, once a minute at most."""

    async def resolve(self, pull: Pull) -> Resolution:
        """Give what *pull* leads to; see `Puller.resolve`. To ask isn't to pull."""
        return await self._inner.resolve(pull)

    async def open(self, pull: Pull, part: RangeRequest | None = None) -> Content:
        """Give the content of *pull*; see `Puller.open`."""
        content = await self._inner.open(pull, part)
        if isinstance(content, File):
            digest = content.resolution.descriptor.digest
            self._room.hold(digest)
            content.on_close = partial(self._room.let_go, digest)
        self._note(pull, content)
        return content

    def at_hand(self, pull: Pull) -> Bytes | None:
        """Give what is in memory; see `ReadyPuller.at_hand`."""
        content = self._inner.at_hand(pull)
        if content is not None:
            self._note(pull, content)
        return content

    def _note(self, pull: Pull, content: Content) -> None:
        digest = content.resolution.descriptor.digest
        if not self._usage.touch(digest):
            return
        self._room.note_pulled(digest)
        if isinstance(pull, ManifestPull) and isinstance(content, Bytes):
            self.on_pulled(pull.repository, content)
