"""What clients pull is noted: it stays longer, and while it is being sent it isn't evicted."""

from functools import partial

from proxy.oci.digest import Digest
from proxy.oci.request import Pull
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

    async def resolve(self, pull: Pull) -> Resolution:
        """Give what *pull* leads to; see `Puller.resolve`. To ask isn't to pull."""
        return await self._inner.resolve(pull)

    async def open(self, pull: Pull, part: RangeRequest | None = None) -> Content:
        """Give the content of *pull*; see `Puller.open`."""
        content = await self._inner.open(pull, part)
        digest = content.resolution.descriptor.digest
        if isinstance(content, File):
            self._room.hold(digest)
            content.on_close = partial(self._room.let_go, digest)
        self._note(digest)
        return content

    def at_hand(self, pull: Pull) -> Bytes | None:
        """Give what is in memory; see `ReadyPuller.at_hand`."""
        content = self._inner.at_hand(pull)
        if content is not None:
            self._note(content.resolution.descriptor.digest)
        return content

    def _note(self, digest: Digest) -> None:
        if self._usage.touch(digest):
            self._room.note_pulled(digest)
