"""The primary's way of authenticating: its challenge.

The challenge is asked for once, kept in the sidecar and renewed now and then, so that a client
without credentials can be challenged in an outage too. Where /v2/ is open a repository may still
challenge: that challenge is kept beside it, and tells how credentials are to be presented.
"""

import json
from contextlib import suppress

from proxy.net.link import PrivateLink
from proxy.net.session import Answer
from proxy.oci.challenge import OPEN, Challenge, Scheme, parse_challenges
from proxy.oci.errors import BadGateway, LoopDetected, RegistryError, Unavailable
from proxy.registry.clock import Clock
from proxy.registry.realm_origins import RealmOrigins
from proxy.registry.sidecar import Sidecar
from proxy.registry.single_flight import SingleFlight

CHALLENGE_SECONDS = 300.0
RECONSIDER_SECONDS = 10.0
_DOOR, _INSIDE = "challenge", "challenge_inside"


class Realm:
    """What the primary asks of those who come without credentials."""

    def __init__(
        self,
        link: PrivateLink,
        origins: RealmOrigins,
        sidecar: Sidecar,
        clock: Clock,
    ) -> None:
        self._link = link
        self._origins = origins
        self._sidecar = sidecar
        self._clock = clock
        self._door: Challenge | None = None
        self._inside: Challenge | None = None
        self._asked_at = float("-inf")
        self._reconsidered_at = float("-inf")
        self._questions: SingleFlight[str, Challenge] = SingleFlight()

    # --- the challenge --------------------------------------------------------------------------

    async def challenge(self) -> Challenge:
        """Give how the primary authenticates: as it is remembered, where it is.

        Raises: Unavailable: it was never seen and the primary can't be reached.
        """
        if self._door is None:
            await self._remember()
        if self._door is None:
            await self._questions.run(_DOOR, self._ask_challenge)
        elif self._clock.now() - self._asked_at > CHALLENGE_SECONDS:
            self._asked_at = self._clock.now()
            self._questions.start_behind(_DOOR, self._ask_challenge)
        return self.known_challenge() or OPEN

    def known_challenge(self) -> Challenge | None:
        """Give the challenge if it is in memory, without asking anybody."""
        return self._inside if self.is_open and self._inside is not None else self._door

    @property
    def is_open(self) -> bool:
        """Say whether /v2/ is known to let in whoever presents nothing."""
        return self._door == OPEN

    async def _remember(self) -> None:
        door = _from_json(await self._sidecar.fact(_DOOR))
        inside = _from_json(await self._sidecar.fact(_INSIDE))
        if self._door is None:
            self._door, self._inside = door, inside

    async def _ask_challenge(self) -> Challenge:
        answer = await self._link.request("GET", "/v2/", {})
        await answer.drop()
        if answer.status == 508:
            raise LoopDetected
        if answer.status != 401 and answer.status >= 400:
            raise Unavailable("the primary's /v2/ is not answered as a registry does")
        found = challenge_of(answer) if answer.status == 401 else OPEN
        if found is None:
            raise BadGateway("the primary's challenge can't be understood")
        self._set_door(found)
        return found

    def _set_door(self, challenge: Challenge) -> None:
        self._asked_at = self._clock.now()
        if challenge != self._door:
            self._door, self._inside = challenge, None
            self._sidecar.put_fact(_DOOR, _to_json(challenge))
            self._sidecar.put_fact(_INSIDE, "")

    async def learn(self, challenge: Challenge) -> None:
        """Take in a challenge that the primary gave for a repository.

        One that isn't known lets /v2/ be asked again, at most once in a few seconds: its word
        counts. Where that is open, the repository's challenge is remembered beside it.
        """
        if challenge == self.known_challenge():
            return
        if self._clock.now() - self._reconsidered_at >= RECONSIDER_SECONDS:
            self._reconsidered_at = self._clock.now()
            with suppress(RegistryError):
                await self._questions.run(_DOOR, self._ask_challenge)
        if self.is_open and challenge != self._inside:
            self._inside = challenge
            self._sidecar.put_fact(_INSIDE, _to_json(challenge))

    def is_shared(self, challenge: Challenge) -> bool:
        """Say whether the token service is on the domain that leads to us."""
        return self._origins.is_shared(challenge.realm)

    async def close(self) -> None:
        """End what is running."""
        await self._questions.close()


def challenge_of(answer: Answer) -> Challenge | None:
    """Give the challenge of a 401: Bearer before Basic, as clients choose; None without one."""
    found = parse_challenges(answer.headers.getall("WWW-Authenticate", ()))
    for scheme in (Scheme.BEARER, Scheme.BASIC):
        for challenge in found:
            if challenge.scheme is scheme:
                return challenge
    return None


def _to_json(challenge: Challenge) -> str:
    return json.dumps([challenge.scheme, challenge.realm, challenge.service])


def _from_json(text: str | None) -> Challenge | None:
    if text is None:
        return None
    try:
        scheme, realm, service = json.loads(text)
        return Challenge(Scheme(scheme), str(realm), str(service))
    except (ValueError, TypeError):
        return None
