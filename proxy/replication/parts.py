"""Parts: which contents each artifact in the log is made of, and of which that has to be looked at.

Rules:
- A content that enters or leaves the index of contents makes what it is a part of doubtful, in the
  same transaction (see the triggers in `schema`): a crash between the two loses nothing.
- An artifact is known as long as the log has an entry of it.
- Its parts take a statement for thousands of them: the sidecar's queue is bounded, and of an
  artifact that is known in part the log would say that it is complete when it isn't.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from proxy.oci.digest import Digest
from proxy.registry.order import digest_of, key_of
from proxy.registry.sidecar import Sidecar
from proxy.registry.sqlite_file import Statement

_ARTIFACT = """
INSERT INTO artifact (digest, doubts) VALUES (?, 1)
ON CONFLICT (digest) DO UPDATE SET doubts = doubts + 1
"""
_CLEAR = "DELETE FROM part WHERE artifact = (SELECT id FROM artifact WHERE digest = ?)"
AT_ONCE = 10_000
"""Parts in one statement; SQLite allows 32,766 values."""

_DOUBTFUL = """
SELECT digest, doubts, key FROM part JOIN artifact ON artifact.id = part.artifact
WHERE artifact.id IN (SELECT id FROM artifact WHERE doubts > 0 ORDER BY id LIMIT ?)
"""
_SETTLED = "UPDATE artifact SET doubts = doubts - ? WHERE digest = ?"


def _parts(number: int) -> str:
    values = ", ".join(["(?)"] * number)
    return (
        f"INSERT OR IGNORE INTO part SELECT column1, id FROM (VALUES {values}), artifact"  # noqa: S608
        " WHERE digest = ?"
    )


@dataclass(frozen=True, slots=True)
class Doubtful:
    """An artifact that is to be looked at, how often something came or went, and its parts."""

    artifact: Digest
    doubts: int
    parts: list[Digest]

    @property
    def settled(self) -> Statement:
        """What notes that it was looked at: doubts that came meanwhile stay."""
        return _SETTLED, (self.doubts, str(self.artifact))


class Parts:
    """Reads and writes it."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar

    def note(self, artifact: Digest, parts: Iterable[Digest]) -> None:
        """Note what an artifact is made of, itself included; it is looked at soon: something of it
        may have gone while the rest came.
        """
        name = str(artifact)
        for sql in (_ARTIFACT, _CLEAR):
            self._sidecar.queue(sql, name)
        keys = list({key_of(part) for part in (artifact, *parts)})
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE]
            self._sidecar.queue(_parts(len(some)), *some, name)

    async def doubtful(self, most: int) -> Sequence[Doubtful]:
        """Give artifacts of which something came or went."""
        found: dict[str, Doubtful] = {}
        for digest, doubts, key in await self._sidecar.all(_DOUBTFUL, most) or ():
            if isinstance(key, bytes):
                first = Doubtful(Digest.parse(str(digest)), int(str(doubts)), [])
                found.setdefault(str(digest), first).parts.append(digest_of(key))
        return list(found.values())
