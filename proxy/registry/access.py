"""Access: who a caller is, and whether it may pull. Every caller is asked about itself.

`Doorkeeper` turns an Authorization header into a caller. `Authorized` lets a pull through to the
rest of the chain only with a right that the primary granted to that caller for that repository;
so nobody joins a flight, or learns what is here, before it was let in.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from proxy.oci.caller import ANONYMOUS, Caller
from proxy.oci.challenge import Scope
from proxy.oci.errors import Unauthorized
from proxy.oci.reference import Repository
from proxy.oci.request import Action, Pull
from proxy.oci.span import RangeRequest
from proxy.registry.asking import Asking
from proxy.registry.bounded import BoundedMap
from proxy.registry.callers import KnownCallers, RightKey
from proxy.registry.credentials import Bearer, CredentialKeeper, parse_authorization
from proxy.registry.decisions import Decisions, Standing
from proxy.registry.issuer import Issuer
from proxy.registry.puller import Bytes, Content, ReadyPuller, Resolution
from proxy.registry.realm import Realm
from proxy.telemetry.labels import DecisionUse
from proxy.telemetry.metrics import Metrics

MAX_KNOWN_HEADERS = 100_000


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request presented: a caller, and for our own tokens what they were issued for.

    `authorization` is the header as it came: writes carry it on, byte for byte.
    """

    caller: Caller
    authorization: str = ""
    covered: frozenset[str] | None = None
    expires_at: float = float("inf")

    @property
    def is_our_token(self) -> bool:
        """Say whether it was one of our pull tokens, which are good for nothing but pulls."""
        return self.covered is not None

    @property
    def is_primarys_token(self) -> bool:
        """Say whether it was a token that we didn't issue: ours are what a pull is given."""
        return not self.is_our_token and self.authorization[:7].lower() == "bearer "

    @property
    def headers(self) -> dict[str, str]:
        """What a request that is passed on carries of it."""
        return {"Authorization": self.authorization} if self.authorization else {}

    def may_try_to_pull(self, repository: Repository) -> bool:
        """Say whether a token covers a repository; other credentials are the primary's to judge."""
        return self.covered is None or repository in self.covered


ANYBODY = Presented(ANONYMOUS)


def repositories_to_pull(scopes: Iterable[Scope]) -> frozenset[str]:
    """Give the repositories that scopes let a token pull from."""
    return frozenset(
        scope.name
        for scope in scopes
        if scope.kind == "repository" and Action.PULL in scope.actions
    )


class Doorkeeper:
    """Recognises callers. Our own tokens, once read, are remembered until they expire."""

    def __init__(
        self,
        keeper: CredentialKeeper,
        issuer: Issuer,
        realm: Realm,
        wall: Callable[[], float],
    ) -> None:
        self._keeper = keeper
        self._issuer = issuer
        self._realm = realm
        self._wall = wall
        self._known: BoundedMap[str, Presented] = BoundedMap(MAX_KNOWN_HEADERS)

    async def recognise(self, authorization: str) -> Presented:
        """Give who presents this Authorization header.

        Raises: Unauthorized: nothing was presented where the primary challenges, or the token
        isn't good. BadRequest: the header can't be read. Unavailable: the primary's way of
        authenticating was never seen, and it can't be asked.
        """
        if not authorization:
            return await self._without_credentials()
        known = self._known.get(authorization)
        if known is not None:
            if self._wall() > known.expires_at:
                self._known.drop(authorization)
                raise Unauthorized("the token has expired", error="invalid_token")
            return known
        presented = await self._read(authorization)
        if presented.is_our_token:
            self._known.put(authorization, presented)
        return presented

    async def _without_credentials(self) -> Presented:
        if self._realm.known_challenge() is None:
            await self._realm.challenge()
        if not self._realm.is_open:
            raise Unauthorized
        return ANYBODY

    async def _read(self, authorization: str) -> Presented:
        credential = parse_authorization(authorization)
        if isinstance(credential, Bearer) and self._issuer.is_ours(credential.token):
            challenge = await self._realm.challenge()
            claims = self._issuer.read(credential.token, challenge.service)
            covered = repositories_to_pull(claims.scopes)
            return Presented(claims.caller, authorization, covered, claims.expires_at)
        return Presented(self._keeper.caller(credential), authorization)


class Authorized:
    """Lets pulls through that the primary allows to their caller.

    *prove* asks the primary for the very thing that is pulled, and notes what that decides.
    """

    def __init__(
        self,
        inner: ReadyPuller,
        prove: Callable[[Pull], Awaitable[None]],
        rights: Decisions[RightKey],
        metrics: Metrics,
    ) -> None:
        self._inner = inner
        self._prove = prove
        self._rights = rights
        self._metrics = metrics
        self._asking: Asking[RightKey] = Asking(rights)

    async def resolve(self, pull: Pull) -> Resolution:
        """Give what *pull* leads to, if its caller may know; see `Puller.resolve`."""
        await self.require(pull)
        return await self._inner.resolve(pull)

    async def open(self, pull: Pull, part: RangeRequest | None = None) -> Content:
        """Give the content of *pull*, if its caller may have it; see `Puller.open`."""
        await self.require(pull)
        return await self._inner.open(pull, part)

    def at_hand(self, pull: Pull) -> Bytes | None:
        """Give what is in memory to a caller whose right is fresh; see `ReadyPuller.at_hand`."""
        key = (pull.caller, pull.repository, Action.PULL)
        if self._rights.standing(key) is not Standing.FRESH:
            return None
        content = self._inner.at_hand(pull)
        if content is not None:
            self._metrics.decided(DecisionUse.KNOWN)
        return content

    async def require(self, pull: Pull) -> None:
        """Return if the caller may pull from this repository.

        Raises: Unauthorized, Denied, Absent, ...: the primary's answer to this caller.
        Unavailable: it can't be asked, and no earlier answer holds.
        """
        key = (pull.caller, pull.repository, Action.PULL)
        use = DecisionUse.ASKED
        try:
            use = await self._asking.require(key, pull, lambda: self._prove(pull))
        finally:
            self._metrics.decided(use)

    async def close(self) -> None:
        """End the running proofs."""
        await self._asking.close()


class Logins:
    """Whether a credential's login holds: asked at the primary, remembered."""

    def __init__(self, known: KnownCallers) -> None:
        self._known = known
        self._asking: Asking[Caller] = Asking(known.logins)

    async def require(self, caller: Caller, ask: Callable[[], Awaitable[object]]) -> None:
        """Return if the primary accepts this caller's credential; *ask* asks it.

        Raises: Unauthorized: it doesn't. Unavailable: it can't be asked, and no earlier
        acceptance holds.
        """

        async def decide() -> None:
            asked_at = self._known.logins.now()
            try:
                await ask()
            except Unauthorized as exc:
                self._known.end_login(caller, exc)
                raise
            self._known.logins.grant(caller, asked_at)

        await self._asking.require(caller, caller, decide)

    def note_accepted(self, caller: Caller) -> None:
        """Note that the primary accepted a login that was passed on to it."""
        self._known.logins.grant(caller)

    def was_accepted(self, caller: Caller) -> bool:
        """Say whether a login of this caller was accepted within the grace of an outage."""
        return self._known.logins.has_been_granted(caller)

    async def close(self) -> None:
        """End what is running."""
        await self._asking.close()
