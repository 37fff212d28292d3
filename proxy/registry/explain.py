"""What a pull would do right now, and why; nothing is fetched or changed for it."""

from contextlib import suppress
from dataclasses import dataclass, field

from proxy.net.link import PrivateLink
from proxy.oci.digest import Digest
from proxy.oci.errors import Absent, RegistryError, StoreUnavailable, Unavailable
from proxy.oci.manifest import INDEX_TYPES, children_of
from proxy.oci.reference import Reference, Repository
from proxy.oci.request import BlobPull
from proxy.registry.freshness import Freshness, Outlook, Verdict
from proxy.registry.layout import LinkKind
from proxy.registry.pins import Pins
from proxy.registry.realm import Realm
from proxy.registry.store import Store
from proxy.registry.tagbook import TagBook
from proxy.registry.tags import FreshTags

MAX_DEPTH = 4


@dataclass(slots=True)
class Explanation:
    """What is known. `steps` are sentences in the order in which a pull goes."""

    repository: str
    reference: str
    digest: str = ""
    steps: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    evicted: list[str] = field(default_factory=list)
    pinned: list[str] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)

    def as_document(self) -> dict[str, object]:
        """Give a JSON document."""
        return {
            "repository": self.repository,
            "reference": self.reference,
            "digest": self.digest,
            "complete": bool(self.digest) and not self.missing and not self.evicted,
            "steps": self.steps,
            "present": self.present,
            "missing": self.missing,
            "evicted": self.evicted,
            "pinned": self.pinned,
            "primary": self.addresses,
        }


class Explainer:
    """Looks without touching."""

    def __init__(
        self,
        store: Store,
        pins: Pins,
        book: TagBook,
        tags: FreshTags,
        link: PrivateLink,
        realm: Realm,
    ) -> None:
        self._store = store
        self._pins = pins
        self._book = book
        self._tags = tags
        self._link = link
        self._realm = realm

    async def explain(self, repository: Repository, reference: Reference) -> Explanation:
        """Say what a pull of this reference would do."""
        found = Explanation(repository, str(reference))
        with suppress(StoreUnavailable):
            await self._pins.refresh()
        digest = await self._pin(found, repository, reference)
        if digest is not None:
            found.digest = str(digest)
            await self._look(found, repository, digest)
        await self._describe_primary(found)
        return found

    async def _pin(
        self, found: Explanation, repository: Repository, reference: Reference
    ) -> Digest | None:
        if isinstance(reference, Digest):
            found.steps.append("A digest: nothing to ask, it never changes.")
            return reference
        state = await self._book.known(repository, reference)
        if state is None:
            found.steps.append("The tag was never seen here: the primary is asked for it.")
            return None
        found.steps += _tag_steps(self._tags.outlook(repository, reference), self._book.age(state))
        return state.digest

    async def _look(self, found: Explanation, repository: Repository, digest: Digest) -> None:
        try:
            manifest = await self._store.manifest(repository, digest)
        except (Absent, Unavailable) as exc:
            await self._note_absent(found, repository, LinkKind.MANIFEST, digest)
            found.steps.append(f"The manifest is not here ({exc.message}): it is fetched.")
            return
        self._note_present(found, digest)
        await self._look_below(found, repository, manifest.data, MAX_DEPTH)
        absent = len(found.missing) + len(found.evicted)
        found.steps.append(
            f"{len(found.present)} of {len(found.present) + absent} contents are here"
            + ("; the others are fetched when they are asked for." if absent else ".")
        )
        if found.evicted:
            found.steps.append(
                f"{len(found.evicted)} contents were here and were evicted; they are linked still."
            )

    def _note_present(self, found: Explanation, digest: Digest) -> None:
        found.present.append(str(digest))
        if self._pins.is_pinned(digest):
            found.pinned.append(str(digest))

    async def _note_absent(
        self, found: Explanation, repository: Repository, kind: LinkKind, digest: Digest
    ) -> None:
        """Note what isn't here: a link without bytes says that it was, and was evicted."""
        try:
            is_linked = await self._store.tree.has_link(repository, kind, digest)
        except Unavailable:
            is_linked = False
        (found.evicted if is_linked else found.missing).append(str(digest))

    async def _look_below(
        self, found: Explanation, repository: Repository, data: bytes, depth: int
    ) -> None:
        is_index = b'"manifests"' in data
        for child in children_of(data):
            if is_index or child.media_type in INDEX_TYPES:
                await self._look_at_manifest(found, repository, child.digest, depth)
            else:
                await self._look_at_blob(found, repository, child.digest)

    async def _look_at_manifest(
        self, found: Explanation, repository: Repository, digest: Digest, depth: int
    ) -> None:
        try:
            child = await self._store.manifest(repository, digest)
        except (Absent, Unavailable):
            await self._note_absent(found, repository, LinkKind.MANIFEST, digest)
            return
        self._note_present(found, digest)
        if depth > 0:
            await self._look_below(found, repository, child.data, depth - 1)

    async def _look_at_blob(
        self, found: Explanation, repository: Repository, digest: Digest
    ) -> None:
        try:
            await self._store.resolve(BlobPull(repository, digest))
        except (Absent, Unavailable):
            await self._note_absent(found, repository, LinkKind.LAYER, digest)
        else:
            self._note_present(found, digest)

    async def _describe_primary(self, found: Explanation) -> None:
        try:
            addresses = await self._link.addresses()
        except Unavailable as exc:
            found.steps.append(f"The primary can't be reached: {exc.message}.")
            return
        states = self._link.breaker_states()
        for host, port in addresses:
            name = f"{host}:{port}"
            found.addresses[name] = str(states.get(name, "not tried yet"))
        try:
            challenge = await self._realm.challenge()
        except RegistryError as exc:
            found.steps.append(f"How the primary authenticates isn't known: {exc.message}.")
            return
        where = f" at {challenge.realm}" if challenge.realm else ""
        found.steps.append(
            f"The primary {self._link.origin} authenticates: {challenge.scheme}{where}."
        )


_DOES = {
    Verdict.ANSWER: "answered from here",
    Verdict.RENEW: "answered from here, and checked at the primary behind the answer",
    Verdict.ASK: "checked at the primary with a HEAD first",
    Verdict.ASK_ANEW: "checked at the primary with a HEAD first",
}


def _tag_steps(outlook: Outlook, age: float) -> list[str]:
    when = "never in this store" if age == float("inf") else f"{age:.0f} s ago"
    does = _DOES[outlook.verdict]
    checked = f"The tag was checked {when}; its policy is {outlook.policy}: it would be {does}."
    return [checked] if outlook.policy is not Freshness.EVENT else [checked, _event_step(outlook)]


def _event_step(outlook: Outlook) -> str:
    """Say what is known of events."""
    if outlook.is_dirty:
        return "An event says that the tag may have changed since it was checked."
    if not outlook.is_leased:
        return "There is no lease from a hub now: events may be missing, and age counts."
    if not outlook.is_covered:
        return "The lease is live, but events before it may have been missed since that check."
    return "The lease is live, and no event since that check tells of the tag."
