"""One look at a region: its `ready` URL, and the canary's manifest at each of its addresses.

Both go over new connections: one that was kept open says nothing of those that clients open.
Redirects are never followed, credentials go to the region itself and to the trusted realms of the
primary, and no more is read than a manifest has.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from geo.catalogue import Address
from hub.geo.health import Outcome
from hub.login import Login, token_in, token_target
from proxy.net.origins import Origin, TrustedOrigins
from proxy.net.session import Answer, Outgoing, Session
from proxy.oci.challenge import Challenge, Scheme, parse_challenges
from proxy.oci.digest import Digest
from proxy.oci.errors import BadGateway, RegistryError, SizeInvalid, Unavailable
from proxy.oci.reference import Reference, Repository
from proxy.oci.request import Action

MAX_MANIFEST_BYTES = 256 << 10
MAX_TOKEN_BYTES = 64 << 10
ACCEPTED = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_ONCE = {"Connection": "close"}


@dataclass(frozen=True, slots=True)
class Canary:
    """What is pulled, and as who. origin: scheme and shared name, as clients have them."""

    origin: Origin
    port: int
    repository: Repository
    reference: Reference
    login: Login


class ProbeFailed(Exception):
    """What was asked for didn't come, or was something else."""

    def __init__(self, message: str, outcome: Outcome = Outcome.WRONG) -> None:
        super().__init__(message)
        self.outcome = outcome


class Probe:
    """Looks. A token that an address gave is used again there until it isn't taken any more."""

    def __init__(self, session: Session, realms: TrustedOrigins, canary: Canary | None) -> None:
        self._session = session
        self._realms = realms
        self._canary = canary
        self._authorizations: dict[Address, str] = {}

    @property
    def has_canary(self) -> bool:
        return self._canary is not None

    def keep(self, addresses: frozenset[Address]) -> None:
        """Forget what is known of all addresses but these."""
        for gone in self._authorizations.keys() - addresses:
            del self._authorizations[gone]

    async def ask_ready(self, url: str) -> None:
        """Ask whether a region is ready. Raises: ProbeFailed."""
        try:
            target = urlsplit(url)
            query = f"?{target.query}" if target.query else ""
            request = Outgoing("GET", f"{target.path or '/'}{query}", _ONCE)
            answer = await self._session.send(Origin.of(url), request)
            answer.close()
        except (RegistryError, ValueError) as exc:
            raise _failed(exc) from exc
        if answer.status // 100 != 2:
            raise ProbeFailed(f"it answered {answer.status}")

    async def pull(self, address: Address) -> None:
        """Pull the canary's manifest at an address of a region. Raises: ProbeFailed."""
        if self._canary is None:
            return
        try:
            answer = await self._asked(self._canary, address)
            body = await self._read(answer)
        except (RegistryError, ValueError) as exc:
            raise _failed(exc) from exc
        _check(self._canary.reference, answer, body)

    # --- the canary's manifest --------------------------------------------------------------------

    async def _asked(self, canary: Canary, address: Address) -> Answer:
        """Give the answer, to a fresh login where one is wanted."""
        known = self._authorizations.get(address, "")
        answer = await self._send(canary, address, known)
        if answer.status != 401:
            return answer
        challenges = parse_challenges(answer.headers.getall("WWW-Authenticate", ()))
        answer.close()
        self._authorizations.pop(address, None)
        fresh = await self._log_in(canary, address, challenges)
        answer = await self._send(canary, address, fresh)
        if answer.status == 200:
            self._authorizations[address] = fresh
        return answer

    async def _send(self, canary: Canary, address: Address, authorization: str) -> Answer:
        headers = {"Accept": ACCEPTED, **_ONCE}
        if authorization:
            headers["Authorization"] = authorization
        path = f"/v2/{canary.repository}/manifests/{canary.reference}"
        return await self._at(canary, address, Outgoing("GET", path, headers))

    async def _at(self, canary: Canary, address: Address, request: Outgoing) -> Answer:
        where = (str(address), canary.port)
        return await self._session.send(canary.origin, request, address=where)

    async def _read(self, answer: Answer) -> bytes:
        if answer.status != 200:
            answer.close()
            outcome = Outcome.CLOSED if answer.status == 403 else Outcome.WRONG
            raise ProbeFailed(_about(answer.status), outcome)
        return await answer.read(MAX_MANIFEST_BYTES)

    async def _log_in(
        self, canary: Canary, address: Address, challenges: tuple[Challenge, ...]
    ) -> str:
        for challenge in challenges:
            if challenge.scheme is Scheme.BEARER:
                return f"Bearer {await self._token(canary, address, challenge)}"
        if not canary.login.username:
            raise ProbeFailed("it wants a login, and geo.canary_username isn't set")
        return canary.login.as_basic()

    async def _token(self, canary: Canary, address: Address, challenge: Challenge) -> str:
        """Give a token, of the region itself where the realm is on the shared name."""
        headers = dict(_ONCE)
        if canary.login.username:
            headers["Authorization"] = canary.login.as_basic()
        target = token_target(challenge, canary.repository, Action.PULL)
        request = Outgoing("GET", target, headers)
        if Origin.of(challenge.realm) == canary.origin:
            answer = await self._at(canary, address, request)
        else:
            answer = await self._session.send(self._realms.check(challenge.realm), request)
        return token_in(answer.status, await answer.read(MAX_TOKEN_BYTES))


def _check(reference: Reference, answer: Answer, body: bytes) -> None:
    """Look whether the bytes are those that are named. Raises: ProbeFailed."""
    told = answer.header("Docker-Content-Digest")
    try:
        digest = reference if isinstance(reference, Digest) else Digest.parse(told)
    except RegistryError as exc:
        raise ProbeFailed("the answer names no digest") from exc
    if not digest.matches(body):
        raise ProbeFailed(f"the manifest isn't {str(digest)[:19]}, which it should be")


def _about(status: int) -> str:
    if status == 403:
        return "it answered 403: the hub's own network may not be linked to the region"
    return f"it answered {status}"


def _failed(exc: Exception) -> ProbeFailed:
    """Give how an error counts: as a wrong answer, or as none."""
    if isinstance(exc, SizeInvalid):
        return ProbeFailed(f"the manifest is larger than {MAX_MANIFEST_BYTES >> 10} KiB")
    if isinstance(exc, Unavailable):
        cause = exc.__cause__
        if isinstance(cause, aiohttp.ClientSSLError):
            return ProbeFailed(f"TLS: {_reason(cause)}")
        return ProbeFailed(_silence(cause), Outcome.SILENT)
    if isinstance(exc, BadGateway):
        return ProbeFailed(exc.message)
    return ProbeFailed(f"the answer can't be followed: {exc}")


def _silence(cause: BaseException | None) -> str:
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, aiohttp.ClientConnectorError):
        return f"no answer: {cause.strerror}"  # its text names what doesn't matter here, too
    return f"no answer: {cause}"


def _reason(error: aiohttp.ClientSSLError) -> str:
    certificate = getattr(error, "certificate_error", None)
    return str(getattr(certificate, "verify_message", "") or certificate or error)
