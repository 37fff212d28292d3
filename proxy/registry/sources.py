"""For whom a blob is fetched: pulls that take part, and what the primary said to each of them.

The primary is asked for a repository and a caller that may read the blob there. Every repository
for which it gave the blob, by this fetch or by a HEAD, is proven.
"""

from proxy.oci.caller import REPLICA
from proxy.oci.digest import Digest
from proxy.oci.errors import Absent, Denied, RegistryError, Unauthorized
from proxy.oci.reference import Repository
from proxy.oci.request import BlobPull
from proxy.oci.span import RangeRequest
from proxy.registry.clock import NOW, moment
from proxy.registry.fetcher import Fetcher
from proxy.registry.layout import LinkKind
from proxy.registry.puller import Stream
from proxy.registry.tree import Tree


class Sources:
    """Asks the primary for one blob, for whoever of those who take part may have it."""

    def __init__(self, digest: Digest, fetcher: Fetcher) -> None:
        self._digest = digest
        self._fetcher = fetcher
        self._pulls: dict[BlobPull, None] = {}
        self._proven: dict[Repository, float] = {}
        self._refused: dict[BlobPull, RegistryError] = {}

    def serve(self, repository: Repository) -> bool:
        """Say whether pulls of this repository may join without asking the primary first."""
        return repository in self._proven or any(
            pull.repository == repository for pull in self._pulls
        )

    def admit(self, pull: BlobPull, *, is_proven: bool, asked_at: float = NOW) -> None:
        """Let a pull take part; *is_proven* if the primary, asked then, gave the blob for it."""
        self._pulls[pull] = None
        self._refused.pop(pull, None)
        if is_proven:
            self._proven[pull.repository] = asked_at

    def withdraw(self, repository: Repository) -> None:
        """The blob was deleted there: whoever asks from here on needs another proof."""
        self._proven.pop(repository, None)
        self._pulls = {pull: None for pull in self._pulls if pull.repository != repository}

    @property
    def has_client(self) -> bool:
        """Say whether anybody but the replica itself wants it."""
        return any(pull.caller != REPLICA for pull in self._pulls)

    def refusal(self, pull: BlobPull) -> RegistryError | None:
        """Give what the primary said to a pull that it doesn't give the blob for."""
        return self._refused.get(pull)

    def has_proof_for(self, repository: Repository) -> bool:
        """Say whether the primary gave the blob for this repository, here or by a HEAD."""
        return repository in self._proven

    async def open(self, part: RangeRequest | None) -> Stream:
        """Ask for a part, or for all, on behalf of one after the other.

        Raises: Absent, Unauthorized, Denied: nobody gets it. Unavailable. RangeInvalid.
        """
        asked: set[BlobPull] = set()
        while True:
            pulls = tuple(pull for pull in self._pulls if pull not in asked)
            asked.update(pulls)
            try:
                return await self._fetcher.first(pulls, lambda pull: self._ask(pull, part))
            except (Absent, Unauthorized, Denied):
                if asked.issuperset(self._pulls):  # nobody joined meanwhile
                    raise

    async def _ask(self, pull: BlobPull, part: RangeRequest | None) -> Stream:
        asked_at = moment()
        try:
            stream = await self._fetcher.open(pull, part)
        except (Absent, Unauthorized, Denied) as exc:
            self._refused[pull] = exc
            raise
        if self.serve(pull.repository):  # it wasn't withdrawn meanwhile
            self._proven[pull.repository] = asked_at
        return stream

    async def link(self, tree: Tree) -> None:
        """Link the blob in every repository that is proven, those that join meanwhile included."""
        linked: set[Repository] = set()
        while missing := self._proven.keys() - linked:
            for repository in missing:
                asked_at = self._proven.get(repository)
                if asked_at is not None:
                    link = (repository, LinkKind.LAYER, self._digest)
                    await tree.confirm_link(*link, asked_at)
            linked |= missing
