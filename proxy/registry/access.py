"""Access: who a caller is, and whether it may pull. Every caller is asked about itself.

`Doorkeeper` turns an Authorization header into a caller. `Authorized` lets a pull through to the
rest of the chain only with a right that the primary granted to that caller for that repository;
so nobody joins a flight, or learns what is here, before it was let in.
"""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from proxy.oci.caller import ANONYMOUS, Caller
from proxy.oci.challenge import Scheme, Scope
from proxy.oci.errors import Unauthorized, Unavailable
from proxy.oci.reference import Repository
from proxy.oci.request import Action, Pull
from proxy.oci.span import RangeRequest
from proxy.registry.bounded import BoundedMap
from proxy.registry.credentials import Bearer, CredentialKeeper, parse_authorization
from proxy.registry.decisions import Decisions, Standing
from proxy.registry.issuer import Issuer
from proxy.registry.primary import RightKey
from proxy.registry.puller import Content, Puller, Resolution
from proxy.registry.realm import Realm
from proxy.registry.single_flight import SingleFlight
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
    scopes: frozenset[Scope] | None = None
    expires_at: float = float("inf")

    @property
    def is_our_token(self) -> bool:
        """Say whether it was one of our pull tokens, which are good for nothing but pulls."""
        return self.scopes is not None

    def may_try_to_pull(self, repository: Repository) -> bool:
        """Say whether a token covers a repository; other credentials are the primary's to judge."""
        return self.scopes is None or any(
            scope.kind == "repository" and scope.name == repository and Action.PULL in scope.actions
            for scope in self.scopes
        )


class Doorkeeper:
    """Recognises callers. Headers that were seen are remembered under their HMAC."""

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
        self._known: BoundedMap[bytes, Presented] = BoundedMap(MAX_KNOWN_HEADERS)

    async def recognise(self, authorization: str) -> Presented:
        """Give who presents this Authorization header.

        Raises: Unauthorized: nothing was presented where the primary challenges, or the token
        isn't good. BadRequest: the header can't be read. Unavailable: the primary's way of
        authenticating was never seen, and it can't be asked.
        """
        if not authorization:
            return await self._without_credentials()
        fingerprint = self._keeper.fingerprint(authorization)
        known = self._known.get(fingerprint)
        if known is not None:
            if self._wall() > known.expires_at:
                self._known.drop(fingerprint)
                raise Unauthorized("the token has expired", error="invalid_token")
            return known
        presented = await self._read(authorization)
        if presented.is_our_token:
            self._known.put(fingerprint, presented)
        return presented

    async def _without_credentials(self) -> Presented:
        challenge = self._realm.known_challenge() or await self._realm.challenge()
        if challenge.scheme is not Scheme.OPEN:
            raise Unauthorized
        return Presented(ANONYMOUS)

    async def _read(self, authorization: str) -> Presented:
        credential = parse_authorization(authorization)
        if isinstance(credential, Bearer) and self._issuer.is_ours(credential.token):
            challenge = await self._realm.challenge()
            claims = self._issuer.read(credential.token, challenge.service)
            return Presented(claims.caller, authorization, claims.scopes, claims.expires_at)
        return Presented(self._keeper.caller(credential), authorization)


class Authorized:
    """Lets pulls through that the primary allows to their caller."""

    def __init__(
        self,
        inner: Puller,
        prover: Puller,
        rights: Decisions[RightKey],
        metrics: Metrics,
    ) -> None:
        self._inner = inner
        self._prover = prover
        self._rights = rights
        self._metrics = metrics
        self._proofs: SingleFlight[Pull, Resolution] = SingleFlight()

    async def resolve(self, pull: Pull) -> Resolution:
        """Give what *pull* leads to, if its caller may know; see `Puller.resolve`."""
        if not self._is_let_in(pull):
            await self.require(pull)
        return await self._inner.resolve(pull)

    async def open(self, pull: Pull, part: RangeRequest | None = None) -> Content:
        """Give the content of *pull*, if its caller may have it; see `Puller.open`."""
        if not self._is_let_in(pull):
            await self.require(pull)
        return await self._inner.open(pull, part)

    def _is_let_in(self, pull: Pull) -> bool:
        """Say whether a right is known that needs no asking: nearly always so."""
        key = (pull.caller, pull.repository, Action.PULL)
        is_known = self._rights.standing(key) is Standing.FRESH
        if is_known:
            self._metrics.decided(DecisionUse.KNOWN)
        return is_known

    async def require(self, pull: Pull) -> None:
        """Return if the caller may pull from this repository.

        The proof is the primary's answer to a HEAD of the very thing that is asked for.

        Raises: Unauthorized, Denied, Absent, ...: the primary's answer to this caller.
        Unavailable: it can't be asked, and no earlier answer holds.
        """
        key = (pull.caller, pull.repository, Action.PULL)
        match self._rights.standing(key):
            case Standing.FRESH:
                self._metrics.decided(DecisionUse.KNOWN)
            case Standing.AGEING:
                self._metrics.decided(DecisionUse.KNOWN)
                self._proofs.start_behind(pull, lambda: self._prover.resolve(pull))
            case Standing.REFUSED:
                raise self._rights.refusal(key) or Unauthorized()
            case Standing.LAPSED:
                await self._prove_or_grace(pull)
            case Standing.UNKNOWN:
                self._metrics.decided(DecisionUse.ASKED)
                await self._proofs.run(pull, lambda: self._prover.resolve(pull))

    async def _prove_or_grace(self, pull: Pull) -> None:
        try:
            await self._proofs.run(pull, lambda: self._prover.resolve(pull))
        except Unavailable:
            self._metrics.decided(DecisionUse.GRACE)
        else:
            self._metrics.decided(DecisionUse.ASKED)

    async def close(self) -> None:
        """End the running proofs."""
        await self._proofs.close()


class Logins:
    """Whether a credential's login holds: asked at the primary, remembered."""

    def __init__(self, logins: Decisions[Caller]) -> None:
        self._logins = logins
        self._asks: SingleFlight[Caller, None] = SingleFlight()

    async def require(self, caller: Caller, ask: Callable[[], Awaitable[object]]) -> None:
        """Return if the primary accepts this caller's credential; *ask* asks it.

        Raises: Unauthorized: it doesn't. Unavailable: it can't be asked, and no earlier
        acceptance holds.
        """

        async def decide() -> None:
            try:
                await ask()
            except Unauthorized as exc:
                self._logins.refuse(caller, exc)
                raise
            self._logins.grant(caller)

        match self._logins.standing(caller):
            case Standing.FRESH:
                return
            case Standing.AGEING:
                self._asks.start_behind(caller, decide)
            case Standing.REFUSED:
                raise self._logins.refusal(caller) or Unauthorized()
            case Standing.LAPSED:
                with contextlib.suppress(Unavailable):
                    await self._asks.run(caller, decide)
            case Standing.UNKNOWN:
                await self._asks.run(caller, decide)

    def was_accepted(self, caller: Caller) -> bool:
        """Say whether a login of this caller was accepted within the grace of an outage."""
        return self._logins.standing(caller) in (Standing.FRESH, Standing.AGEING, Standing.LAPSED)

    async def close(self) -> None:
        """End what is running."""
        await self._asks.close()
