"""`prefetch`: images are brought here before anybody pulls them, by the way that pulls go.

So what a client is fetching at the same time is fetched once. Who asks the primary is our own
identity, or nobody in particular where the primary lets everybody in.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from proxy.oci.caller import Caller
from proxy.oci.descriptor import Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import Absent, BadGateway, BadRequest, RegistryError
from proxy.oci.manifest import INDEX_TYPES, children_of
from proxy.oci.platform import Platform, manifests_of
from proxy.oci.reference import Reference, Repository, split_reference
from proxy.oci.request import ManifestPull
from proxy.registry.bringing import Bringer, ForeignLayer
from proxy.registry.orders import Order
from proxy.registry.progress import Deed, Done, Event, Events, Progress, Result
from proxy.registry.puller import Bytes, Puller
from proxy.registry.store import Store
from proxy.telemetry.labels import Origin

AT_ONCE = 8
MAX_DEPTH = 4
TELL_EVERY_SECONDS = 0.5
NOT_KEPT = "the store could not keep it"


@dataclass(frozen=True, slots=True)
class Job:
    """One content to bring; *depth* counts the indexes above a manifest."""

    repository: Repository
    wanted: Reference | Descriptor
    is_manifest: bool
    depth: int = 0

    @property
    def name(self) -> str:
        """What it is called where it is told of."""
        match self.wanted:
            case Descriptor() as descriptor:
                return f"{self.repository}@{descriptor.digest}"
            case Digest() as digest:
                return f"{self.repository}@{digest}"
            case tag:
                return f"{self.repository}:{tag}"


@dataclass(slots=True)
class Outcome:
    """What became of a job, and what is to be brought next."""

    done: Done
    next_jobs: tuple[Job, ...] = ()


class Prefetcher:
    """Brings what images are made of, so many parts at once; see `Bringer`."""

    def __init__(
        self,
        puller: Puller,
        store: Store,
        settled: Callable[[Digest], Awaitable[None]],
        caller: Caller,
    ) -> None:
        self._puller = puller
        self._store = store
        self._bringer = Bringer(puller, store, settled, caller)
        self._caller = caller
        self._counts: Counter[str] = Counter()
        self._seen: set[Job] = set()

    async def run(self, order: Order) -> Events:
        """Give what is fetched and what was here; good if nothing failed.

        Raises: NameInvalid, DigestInvalid, ManifestUnknown, BadRequest: it can't be read.
        """
        platforms = tuple(map(Platform.parse, order.platforms))
        first = [Job(*split_reference(text), is_manifest=True) for text in order.references]
        if not first:
            raise BadRequest("nothing was named")
        waiting, running = deque(first), set[asyncio.Task[Outcome]]()
        try:
            while waiting or running:
                while waiting and len(running) < AT_ONCE:
                    running.add(asyncio.create_task(self._bring(waiting.popleft(), platforms)))
                done, running = await asyncio.wait(
                    running, timeout=TELL_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                for outcome in [task.result() for task in done]:
                    waiting.extend(job for job in outcome.next_jobs if self._is_new(job))
                    yield self._counted(outcome.done)
                parts = self._counts["parts"]
                yield Progress(parts, parts + len(waiting) + len(running), "parts", "images")
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        yield self._result()

    def _is_new(self, job: Job) -> bool:
        is_new = job not in self._seen
        self._seen.add(job)
        return is_new

    def _counted(self, done: Done) -> Event:
        self._counts["parts"] += 1
        self._counts[done.deed] += 1
        self._counts[f"{done.deed}_bytes"] += done.size_bytes
        return done

    def _result(self) -> Result:
        names = ("parts", Deed.FETCHED, "fetched_bytes", Deed.HERE, "here_bytes")
        numbers = {str(name): self._counts[name] for name in (*names, Deed.SKIPPED, Deed.FAILED)}
        return Result(self._counts[Deed.FAILED] == 0, {**numbers})

    # --- one part ---------------------------------------------------------------------------------

    async def _bring(self, job: Job, platforms: Sequence[Platform]) -> Outcome:
        try:
            if job.is_manifest:
                return await self._bring_manifest(job, platforms)
            return Outcome(await self._bring_blob(job))
        except RegistryError as exc:
            return Outcome(Done(Deed.FAILED, job.name, detail=exc.message))

    async def _bring_manifest(self, job: Job, platforms: Sequence[Platform]) -> Outcome:
        wanted = job.wanted.digest if isinstance(job.wanted, Descriptor) else job.wanted
        before = await self._manifest_here(job.repository, wanted)
        content = await self._puller.open(ManifestPull(job.repository, wanted, self._caller))
        await content.aclose()
        if not isinstance(content, Bytes):
            raise BadGateway("the manifest came as no manifest")
        digest, size = content.resolution.descriptor.digest, len(content.data)
        if content.resolution.origin is Origin.PRIMARY:  # as Docker schema 1 is
            return Outcome(Done(Deed.SKIPPED, job.name, size, "it is passed on and never kept"))
        if await self._manifest_here(job.repository, digest) != digest:
            return Outcome(Done(Deed.FAILED, job.name, detail=NOT_KEPT))
        deed = Deed.HERE if before == digest else Deed.FETCHED
        return Outcome(Done(deed, job.name, size, str(digest)), _parts(job, content, platforms))

    async def _manifest_here(self, repository: Repository, wanted: Reference) -> Digest | None:
        """Give the digest of a manifest if it is here."""
        digest = wanted
        if not isinstance(wanted, Digest):
            named = await self._store.tree.tag(repository, wanted)
            if named is None:
                return None
            digest = named
        try:
            found = await self._store.resolve(ManifestPull(repository, digest, self._caller))
        except Absent:
            return None
        return found.descriptor.digest

    async def _bring_blob(self, job: Job) -> Done:
        if not isinstance(job.wanted, Descriptor):
            raise TypeError("a blob is named by a descriptor")
        try:
            brought = await self._bringer.blob(job.repository, job.wanted)
        except ForeignLayer as exc:
            return Done(Deed.SKIPPED, job.name, detail=exc.message)
        deed = Deed.HERE if brought.was_here else Deed.FETCHED
        return Done(deed, job.name, brought.size_bytes)


def _parts(job: Job, content: Bytes, platforms: Sequence[Platform]) -> tuple[Job, ...]:
    """Give what a manifest names: the wanted manifests of an index, else the blobs."""
    if content.resolution.descriptor.media_type not in INDEX_TYPES:
        blobs = children_of(content.data)
        return tuple(Job(job.repository, each, is_manifest=False) for each in blobs)
    if job.depth >= MAX_DEPTH:
        return ()
    children = [each for each in manifests_of(content.data) if each.is_for(platforms)]
    depth = job.depth + 1
    return tuple(
        Job(job.repository, each.descriptor, is_manifest=True, depth=depth) for each in children
    )
