"""Pins: what the operator wants to stay, whatever room is needed.

A pin names a repository (all its tags), a tag (whatever it names now, and later) or a digest. It
holds what that names, recursively, as far as the manifests are here; a manifest that arrives later
brings its contents under the pin the next time anything would be evicted.
"""

from dataclasses import dataclass, field

from proxy.oci.digest import Digest
from proxy.oci.errors import Absent, StoreUnavailable, Unavailable
from proxy.oci.manifest import INDEX_TYPES, children_of
from proxy.oci.reference import Reference, Repository, parse_reference, split_reference
from proxy.registry.clock import Clock
from proxy.registry.sidecar import Sidecar
from proxy.registry.store import Store

MAX_PINS = 10_000
MAX_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Pin:
    """One pin; without a reference it is for all tags of the repository."""

    repository: Repository
    reference: Reference | None = None

    @classmethod
    def parse(cls, text: str) -> "Pin":
        """Read `[host/]repository[:tag|@digest]`.

        Raises: NameInvalid, DigestInvalid, ManifestUnknown.
        """
        repository, reference = split_reference(text)
        has_reference = "@" in text or ":" in text.rpartition("/")[2]
        return cls(repository, reference if has_reference else None)

    def __str__(self) -> str:
        match self.reference:
            case None:
                return self.repository
            case Digest():
                return f"{self.repository}@{self.reference}"
            case _:
                return f"{self.repository}:{self.reference}"


@dataclass(slots=True)
class Held:
    """What a pin holds now: where it begins, all that this names; whether all of it is known."""

    roots: frozenset[Digest] = frozenset()
    named: set[Digest] = field(default_factory=set)
    is_whole: bool = True


class Pins:
    """The pins, in the sidecar and in memory, and what they hold."""

    def __init__(self, store: Store, sidecar: Sidecar, clock: Clock) -> None:
        self._store = store
        self._sidecar = sidecar
        self._clock = clock
        self._held: dict[Pin, Held] = {}
        self._pinned: frozenset[Digest] = frozenset()
        self._is_loaded = False
        self._refreshed_at = float("-inf")

    def __len__(self) -> int:
        return len(self._held)

    def is_pinned(self, digest: Digest) -> bool:
        """Say whether a pin held a content when they were refreshed."""
        return digest in self._pinned

    async def add(self, pin: Pin) -> Held:
        """Set a pin; give what it holds.

        Raises: StoreUnavailable: it can't be kept now. Unavailable: there are too many.
        """
        await self._load()
        if pin not in self._held and len(self._held) >= MAX_PINS:
            raise Unavailable(f"there are {MAX_PINS} pins already")
        row = (pin.repository, str(pin.reference or ""), self._clock.wall())
        await self._write("INSERT OR REPLACE INTO pin VALUES (?, ?, ?)", *row)
        self._held.setdefault(pin, Held(is_whole=False))
        await self.refresh()
        return self._held[pin]

    async def remove(self, pin: Pin) -> bool:
        """Take a pin away; say whether it was there.

        Raises: StoreUnavailable: that can't be kept now.
        """
        await self._load()
        row = (pin.repository, str(pin.reference or ""))
        await self._write("DELETE FROM pin WHERE repository = ? AND reference = ?", *row)
        was_there = self._held.pop(pin, None) is not None
        await self.refresh()
        return was_there

    async def all(self) -> dict[Pin, Held]:
        """Give the pins and what they hold."""
        await self.refresh()
        return dict(self._held)

    async def _write(self, sql: str, *values: object) -> None:
        if not await self._sidecar.write_all([(sql, values)]):
            raise StoreUnavailable("the sidecar can't be written")

    async def _load(self) -> None:
        if self._is_loaded:
            return
        rows = await self._sidecar.all("SELECT repository, reference FROM pin")
        if rows is None:
            raise StoreUnavailable("the sidecar can't be read")
        for repository, reference in rows:
            named = parse_reference(str(reference)) if reference else None
            self._held.setdefault(Pin(Repository(str(repository)), named), Held(is_whole=False))
        self._is_loaded = True

    # --- what they hold ---------------------------------------------------------------------------

    async def refresh(self, max_age_seconds: float = 0.0) -> None:
        """Look again at what the pins hold, unless that was done so lately: tags may have moved,
        manifests arrived.

        Raises: StoreUnavailable: it can't be found out, so nothing may be evicted.
        """
        await self._load()
        if self._clock.now() - self._refreshed_at < max_age_seconds:
            return
        for pin, held in tuple(self._held.items()):
            roots = await self._roots(pin)
            if roots != held.roots or not held.is_whole:
                renewed = await self._expanded(pin.repository, roots)
                if pin in self._held:
                    self._held[pin] = renewed
        self._pinned = frozenset().union(*(held.named for held in self._held.values()))
        self._refreshed_at = self._clock.now()

    async def _roots(self, pin: Pin) -> frozenset[Digest]:
        tree = self._store.tree
        if isinstance(pin.reference, Digest):
            return frozenset((pin.reference,))
        tags = [pin.reference] if pin.reference else await tree.all_tags(pin.repository)
        found = [await tree.tag(pin.repository, tag) for tag in tags]
        return frozenset(digest for digest in found if digest is not None)

    async def _expanded(self, repository: Repository, roots: frozenset[Digest]) -> Held:
        held = Held(roots)
        level = set(roots)
        for _ in range(MAX_DEPTH):
            below: set[Digest] = set()
            for digest in level - held.named:
                held.named.add(digest)
                below |= await self._children(held, repository, digest)
            level = below
        held.named |= level
        return held

    async def _children(self, held: Held, repository: Repository, digest: Digest) -> set[Digest]:
        """Note what a manifest names; give the manifests among that."""
        try:
            manifest = await self._store.manifest(repository, digest)
        except Absent:
            held.is_whole = False
            return set()
        manifests: set[Digest] = set()
        for child in children_of(manifest.data):
            if manifest.descriptor.media_type in INDEX_TYPES:
                manifests.add(child.digest)
            else:
                held.named.add(child.digest)
        return manifests


def as_document(pin: Pin, held: Held) -> dict[str, object]:
    """Give a JSON document about a pin."""
    return {
        "pin": str(pin),
        "names": sorted(map(str, held.roots)),
        "contents": len(held.named),
        "is_whole": held.is_whole,
    }
